//! The connection to the API server, made at first use and again when it has to be.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersion},
};
use tokio::sync::Mutex;

use crate::call::{CALL_TIMEOUT, CallError, call, if_found};

/// The longest silence in a watch: the API server sends a bookmark every minute (k8s.io/apiserver, cacher).
const WATCH_SILENCE: Duration = Duration::from_secs(100);

/// Makes connections from a kubeconfig that may come, change or go at any time.
pub(crate) struct Connector {
    kubeconfig: PathBuf,
    others: Vec<String>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    current: Option<(Stamp, Arc<Connection>)>,
    /// How often a connection was forgotten: each time it is another server's turn.
    turn: usize,
}

/// A connection, and what was learnt over it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// For answers that go on for minutes.
    pub(crate) watching: Client,
    pub(crate) server: String,
    kinds: Mutex<HashMap<String, Arc<Vec<Kind>>>>,
}

/// A kind as the server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    kind: String,
    plural: String,
    namespaced: bool,
}

/// Tells one state of a file from the next: inode, length, time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64);

impl Connector {
    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, others: Vec::new(), held: Mutex::default() }
    }

    /// Servers of the same cluster, such as `https://10.0.0.2:6443`, that take turns with the one of the kubeconfig
    /// when a connection is found broken.
    pub(crate) fn or_at(self, others: Vec<String>) -> Self {
        Self { others, ..self }
    }

    /// The connection, made anew where the kubeconfig has changed.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        let stamp = stamp(&self.kubeconfig).await?;
        let mut held = self.held.lock().await;
        if let Some((known, connection)) = &held.current
            && *known == stamp
        {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(connect(&self.kubeconfig, &self.others, held.turn).await?);
        tracing::debug!(server = %connection.server, "connected to the API server");
        held.current = Some((stamp, Arc::clone(&connection)));
        Ok(connection)
    }

    /// Whether the kubeconfig is still the one that the connection was made from.
    pub(crate) async fn is_current(&self, connection: &Arc<Connection>) -> bool {
        let Ok(stamp) = stamp(&self.kubeconfig).await else { return true };
        let held = self.held.lock().await;
        held.current.as_ref().is_some_and(|(known, held)| *known == stamp && Arc::ptr_eq(held, connection))
    }

    /// Makes the next call connect anew, to the next server where there are several.
    pub(crate) async fn forget(&self) {
        let mut held = self.held.lock().await;
        held.current = None;
        held.turn = held.turn.wrapping_add(1);
    }
}

/// API servers as they stand in kubeconfigs.
pub(crate) fn urls(servers: &[SocketAddr]) -> Vec<String> {
    servers.iter().map(|server| format!("https://{server}")).collect()
}

async fn stamp(path: &Path) -> Result<Stamp, CallError> {
    match tokio::fs::metadata(path).await {
        Ok(found) => Ok(Stamp(found.ino(), found.len(), found.mtime(), found.mtime_nsec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CallError::NoKubeconfig(path.to_owned()))
        }
        Err(_) => Err(CallError::BadKubeconfig(path.to_owned())),
    }
}

async fn connect(path: &Path, others: &[String], turn: usize) -> Result<Connection, CallError> {
    let bad = || CallError::BadKubeconfig(path.to_owned());
    let text = tokio::fs::read_to_string(path).await.map_err(|_| bad())?;
    let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|_| bad())?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|_| bad())?;
    config.connect_timeout = Some(CALL_TIMEOUT);
    config.read_timeout = Some(CALL_TIMEOUT);
    config.write_timeout = Some(CALL_TIMEOUT);
    config.reset_reader_on_write = true;
    // A proxy of the environment is for the world outside, never for the control plane.
    config.proxy_url = None;
    // Whoever calls decides whether a busy server is asked again.
    config.default_retry = false;
    let own = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let mut servers = vec![&own];
    servers.extend(others.iter().filter(|other| **other != own));
    let server = servers[turn % servers.len()].clone();
    config.cluster_url =
        server.parse().map_err(|_| CallError::Mistake(format!("`{server}` is no server")))?;
    // Fails when a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_from(config.clone()).map_err(|_| bad())?;
    config.read_timeout = Some(WATCH_SILENCE);
    let watching = Client::try_from(config).map_err(|_| bad())?;
    Ok(Connection { client, watching, server, kinds: Mutex::default() })
}

impl Connection {
    /// The interface to objects of this kind, in this namespace where the kind has namespaces.
    pub(crate) async fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Api<DynamicObject>, CallError> {
        let group_version: GroupVersion = api_version
            .parse()
            .map_err(|_| CallError::Mistake(format!("`{api_version}` is no apiVersion")))?;
        let found = self.find_kind(&group_version, kind).await?;
        let resource = ApiResource::from_gvk_with_plural(&group_version.with_kind(kind), &found.plural);
        match (found.namespaced, namespace) {
            (true, Some(namespace)) => Ok(Api::namespaced_with(self.client.clone(), namespace, &resource)),
            (true, None) => Err(CallError::Mistake(format!("a {kind} needs a namespace"))),
            (false, None) => Ok(Api::all_with(self.client.clone(), &resource)),
            (false, Some(_)) => Err(CallError::Mistake(format!("a {kind} has no namespace"))),
        }
    }

    /// Looks a kind up; a kind that is not known yet is asked for again.
    async fn find_kind(&self, group_version: &GroupVersion, kind: &str) -> Result<Kind, CallError> {
        let api_version = group_version.api_version();
        let find = |kinds: &[Kind]| kinds.iter().find(|known| known.kind == kind).cloned();
        let known = self.kinds.lock().await.get(&api_version).cloned();
        if let Some(found) = known.as_deref().and_then(|kinds| find(kinds)) {
            return Ok(found);
        }
        let list = if group_version.group.is_empty() {
            call(&self.server, self.client.list_core_api_resources(&api_version)).await
        } else {
            call(&self.server, self.client.list_api_group_resources(&api_version)).await
        };
        let kinds = if_found(list)?.map(kinds).unwrap_or_default();
        let found = find(&kinds);
        self.kinds.lock().await.insert(api_version.clone(), Arc::new(kinds));
        found.ok_or_else(|| CallError::UnknownKind { api_version, kind: kind.to_owned() })
    }
}

/// The kinds of a list, without subresources such as `pods/status`.
fn kinds(list: APIResourceList) -> Vec<Kind> {
    list.resources
        .into_iter()
        .filter(|resource| !resource.name.contains('/'))
        .map(|resource| Kind { kind: resource.kind, plural: resource.name, namespaced: resource.namespaced })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_yet_is_worth_another_try() {
        let folder = tempfile::tempdir().unwrap();
        let connector = Connector::new(folder.path().join("admin.conf"));
        let error = connector.connection().await.err().unwrap();
        assert!(matches!(error, CallError::NoKubeconfig(_)) && error.is_retryable());
    }

    #[tokio::test]
    async fn a_damaged_kubeconfig_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.conf");
        std::fs::write(&path, "clusters: [{name: x, client-key-data: SECRET}\n").unwrap();
        let error = Connector::new(path).connection().await.err().unwrap();
        assert!(!error.is_retryable());
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("admin.conf") && !shown.contains("SECRET"));
    }

    fn write(path: &Path, port: u16) {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, \
             clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
             contexts: [{{name: c, context: {{cluster: a, user: u}}}}], users: []}}"
        );
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, path).unwrap();
    }

    #[tokio::test]
    async fn servers_take_turns_when_a_connection_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.conf");
        write(&path, 1000);
        let others = [1000, 2000, 3000].map(|port| format!("http://127.0.0.1:{port}"));
        let connector = Connector::new(path).or_at(others.into());
        for port in [1000, 2000, 3000, 1000] {
            for _ in 0..2 {
                let connection = connector.connection().await.unwrap();
                assert_eq!(connection.server, format!("http://127.0.0.1:{port}"));
            }
            connector.forget().await;
        }
    }

    #[tokio::test]
    async fn a_new_kubeconfig_makes_a_new_connection_and_the_same_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.conf");
        let connector = Connector::new(path.clone());
        let write = |port| write(&path, port);
        write(1000);
        let first = connector.connection().await.unwrap();
        assert!(Arc::ptr_eq(&first, &connector.connection().await.unwrap()));
        write(2000);
        let second = connector.connection().await.unwrap();
        assert_eq!(second.server, "http://127.0.0.1:2000");
        connector.forget().await;
        assert!(!Arc::ptr_eq(&second, &connector.connection().await.unwrap()));
    }
}
