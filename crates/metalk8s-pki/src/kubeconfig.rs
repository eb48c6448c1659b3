//! Kubeconfigs with one cluster, one user and one context, all embedded.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    check::{Part, Reason, check_certificate},
    material::Request,
};

#[derive(Serialize, Deserialize)]
struct Config {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
    #[serde(rename = "current-context")]
    current_context: String,
}

#[derive(Serialize, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Serialize, Deserialize)]
struct Cluster {
    server: String,
    #[serde(rename = "certificate-authority-data")]
    authority: String,
}

#[derive(Serialize, Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Serialize, Deserialize)]
struct User {
    #[serde(rename = "client-certificate-data")]
    certificate: String,
    #[serde(rename = "client-key-data")]
    key: String,
}

#[derive(Serialize, Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Serialize, Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

/// The text of a kubeconfig for `user` at `server`; the context is called `user@cluster`.
pub fn kubeconfig(
    server: &str,
    cluster: &str,
    user: &str,
    ca_pem: &str,
    certificate_pem: &str,
    key_pem: &str,
) -> String {
    let context = format!("{user}@{cluster}");
    let config = Config {
        api_version: "v1".into(),
        kind: "Config".into(),
        clusters: vec![NamedCluster {
            name: cluster.into(),
            cluster: Cluster { server: server.into(), authority: STANDARD.encode(ca_pem) },
        }],
        users: vec![NamedUser {
            name: user.into(),
            user: User { certificate: STANDARD.encode(certificate_pem), key: STANDARD.encode(key_pem) },
        }],
        contexts: vec![NamedContext {
            name: context.clone(),
            context: Context { cluster: cluster.into(), user: user.into() },
        }],
        current_context: context,
    };
    // One line for each value, as kubectl writes it and as people cut it out with grep and awk.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(&config, options)
        .expect("a struct of strings can always be written as YAML")
}

/// Why the kubeconfig must be made anew; `None` where it is good. Empty text means that nothing is there.
pub fn check_kubeconfig(
    text: &str,
    server: &str,
    cluster: &str,
    ca_pem: &str,
    request: &Request,
    now: Timestamp,
) -> Option<Reason> {
    if text.trim().is_empty() {
        return Some(Reason::Missing(Part::Kubeconfig));
    }
    let Some((found, user)) = read(text) else { return Some(Reason::Unreadable(Part::Kubeconfig)) };
    if found.cluster.server != server {
        return Some(Reason::AnotherServer { found: found.cluster.server });
    }
    if found.name != cluster {
        return Some(Reason::AnotherCluster { found: found.name });
    }
    let (Some(embedded_ca), Some(certificate), Some(key)) =
        (decode(&found.cluster.authority), decode(&user.user.certificate), decode(&user.user.key))
    else {
        return Some(Reason::Unreadable(Part::Kubeconfig));
    };
    if embedded_ca.trim() != ca_pem.trim() {
        return Some(Reason::AnotherAuthority);
    }
    check_certificate(&certificate, &key, ca_pem, request, now)
}

/// The certificate of the only user, in PEM.
pub(crate) fn client_certificate(text: &str) -> Option<String> {
    decode(&read(text)?.1.user.certificate)
}

/// Cluster and user of the only context.
fn read(text: &str) -> Option<(NamedCluster, NamedUser)> {
    let config: Config = serde_saphyr::from_str(text).ok()?;
    let [context] = <[NamedContext; 1]>::try_from(config.contexts).ok()?;
    let [cluster] = <[NamedCluster; 1]>::try_from(config.clusters).ok()?;
    let [user] = <[NamedUser; 1]>::try_from(config.users).ok()?;
    let consistent = config.current_context == context.name
        && context.context.cluster == cluster.name
        && context.context.user == user.name;
    consistent.then_some((cluster, user))
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
