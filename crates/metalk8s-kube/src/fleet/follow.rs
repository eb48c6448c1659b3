//! What happens to objects, as it happens: one watch (Kubernetes API concepts, "Efficient detection of changes")
//! that goes on over lost connections, other API servers and renewed kubeconfigs.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{
    Api, Resource, ResourceExt,
    api::{WatchEvent, WatchParams},
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{Config, Event, watcher},
    },
};
use metalk8s_diagnostics::sentence;
use metalk8s_types::fleet::{Agent, NAMESPACE, Run};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::Fleet;
use crate::connection::Connection;

/// How long one watch may go on; its end is a question to the API server.
const WATCH_SECONDS: u32 = 290;
/// How often it is looked whether the kubeconfig was renewed.
const RENEWAL: Duration = Duration::from_secs(30);
/// Failures in a row after which the connection is made anew.
const PATIENCE: usize = 4;
/// How many events may wait for their reader.
const WAITING: usize = 256;

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<K> {
    /// It is there, and looks like this now.
    There(Box<K>),
    /// It is gone.
    Gone(String),
    /// All that was there at the beginning has been told. Comes again after every new beginning; what is not
    /// told between two of them is gone.
    Complete,
    /// Nothing can be seen now, and why; it will be tried again.
    Blind(String),
}

/// Events as they come; ends when the receiver is dropped.
pub type Follow<K> = mpsc::Receiver<Seen<K>>;

impl Fleet {
    /// The agent of one node, or all agents.
    pub fn follow_agents(&self, node: Option<&str>) -> Follow<Agent> {
        let fields = node.map(|node| format!("metadata.name={node}"));
        self.follow(fields, None, |connection| Api::namespaced(connection.watching.clone(), NAMESPACE))
    }

    /// What happens to the agent of one node, or to all agents, after one of them had this `resourceVersion`: what
    /// they were before is not told, unless something is missed.
    pub fn follow_agents_after(&self, node: Option<&str>, version: String) -> Follow<Agent> {
        let fields = node.map(|node| format!("metadata.name={node}"));
        let api = |connection: &Connection| Api::namespaced(connection.watching.clone(), NAMESPACE);
        self.follow(fields, Some(version), api)
    }

    /// All runs, or one.
    pub fn follow_runs(&self, run: Option<&str>) -> Follow<Run> {
        let fields = run.map(|run| format!("metadata.name={run}"));
        self.follow(fields, None, |connection| Api::namespaced(connection.watching.clone(), NAMESPACE))
    }

    /// All requests for certificates.
    pub fn follow_requests(&self) -> Follow<CertificateSigningRequest> {
        self.follow(None, None, |connection| Api::all(connection.watching.clone()))
    }

    /// Calico's pools of addresses.
    pub fn follow_pools(&self) -> Follow<DynamicObject> {
        self.follow(None, None, |connection| {
            Api::all_with(connection.watching.clone(), &super::pools::resource())
        })
    }

    fn follow<K>(
        &self,
        fields: Option<String>,
        after: Option<String>,
        api: fn(&Connection) -> Api<K>,
    ) -> Follow<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        let fleet = self.clone();
        tokio::spawn(async move {
            let fields = fields.as_deref();
            if let Some(version) = after
                && !fleet.follow_after(fields, &version, api, &sender).await
            {
                return;
            }
            while fleet.follow_once(fields, api, &sender).await {}
        });
        receiver
    }

    /// Until the watch ends or fails, whyever: a new beginning tells what is missed. Tells whether anybody listens
    /// still.
    async fn follow_after<K>(
        &self,
        fields: Option<&str>,
        version: &str,
        api: fn(&Connection) -> Api<K>,
        sender: &mpsc::Sender<Seen<K>>,
    ) -> bool
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let Ok(connection) = self.connector.connection().await else { return true };
        let mut params = WatchParams::default().timeout(WATCH_SECONDS);
        if let Some(fields) = fields {
            params = params.fields(fields);
        }
        let Ok(stream) = api(&connection).watch(&params, version).await else { return true };
        let mut stream = pin!(stream);
        loop {
            let event = tokio::select! {
                event = stream.next() => event,
                () = sender.closed() => return false,
            };
            let seen = match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => there(object),
                Some(Ok(WatchEvent::Deleted(object))) => Seen::Gone(object.name_any()),
                Some(Ok(WatchEvent::Bookmark(_))) => continue,
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return true,
            };
            if sender.send(seen).await.is_err() {
                return false;
            }
        }
    }

    /// Until the connection has to be made anew; tells whether anybody listens still.
    async fn follow_once<K>(
        &self,
        fields: Option<&str>,
        api: fn(&Connection) -> Api<K>,
        sender: &mpsc::Sender<Seen<K>>,
    ) -> bool
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let connection = match self.connector.connection().await {
            Ok(connection) => connection,
            Err(error) => {
                let told = sender.send(Seen::Blind(sentence(&error))).await.is_ok();
                tokio::time::sleep(Duration::from_secs(1)).await;
                return told;
            }
        };
        let mut config = Config::default().timeout(WATCH_SECONDS);
        if let Some(fields) = fields {
            config = config.fields(fields);
        }
        // It has jitter: many agents that lost one server do not all come back at the same moment.
        let stream = watcher(api(&connection), config).default_backoff();
        let mut stream = pin!(stream);
        let mut renewal = tokio::time::interval(RENEWAL);
        let mut failures = 0;
        loop {
            let event = tokio::select! {
                event = stream.next() => event,
                () = sender.closed() => return false,
                _ = renewal.tick() => {
                    if self.connector.is_current(&connection).await {
                        continue;
                    }
                    return true;
                }
            };
            let seen = match event {
                None => return true,
                Some(Ok(Event::Init)) => continue,
                Some(Ok(Event::Apply(object) | Event::InitApply(object))) => {
                    failures = 0;
                    there(object)
                }
                Some(Ok(Event::Delete(object))) => Seen::Gone(object.name_any()),
                Some(Ok(Event::InitDone)) => {
                    failures = 0;
                    Seen::Complete
                }
                Some(Err(error)) => {
                    failures += 1;
                    Seen::Blind(sentence(&error))
                }
            };
            if sender.send(seen).await.is_err() {
                return false;
            }
            if failures > PATIENCE {
                self.connector.forget().await;
                return true;
            }
        }
    }
}

fn there<K: Resource>(mut object: K) -> Seen<K> {
    object.managed_fields_mut().clear();
    Seen::There(Box::new(object))
}
