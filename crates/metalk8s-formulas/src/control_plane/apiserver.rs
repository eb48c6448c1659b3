//! kube-apiserver: its configuration files and its pod.

use std::path::PathBuf;

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Contents, File},
};
use metalk8s_types::{Pillar, Role, paths};
use serde_json::json;

use super::pki_files;
use crate::{
    accounts::APISERVER,
    bootstrap::{FormulaError, image},
    layout::{CLUSTER_DOMAIN, endpoint, yaml},
    pki::{CLIENT_CA, ENCRYPTION_KEY},
    pod::{HostPath, Pod},
};

const ENCRYPTION: &str = "/etc/kubernetes/encryption.conf";
const AUTHENTICATION: &str = "/etc/kubernetes/authentication.conf";
const AUDIT_POLICY: &str = "/etc/kubernetes/audit-policy.conf";
const AUDIT_LOGS: &str = "/var/log/kubernetes";
const AUDIT_LOG: &str = "/var/log/kubernetes/audit.log";

/// Stands in the encryption configuration where the key goes.
const KEY_PLACEHOLDER: &str = "METALK8S_SECRETS_KEY";

/// The files of [`ENCRYPTION`], [`AUTHENTICATION`] and [`AUDIT_POLICY`], and the place of [`AUDIT_LOGS`].
pub(super) fn configuration(graph: &mut Graph) -> Vec<StateId> {
    let encryption = Contents::WithSecrets {
        text: yaml(&encryption()),
        secrets: vec![(KEY_PLACEHOLDER.to_owned(), PathBuf::from(ENCRYPTION_KEY))],
    };
    let logs = graph.add("audit logs", State::Directory(APISERVER.directory(AUDIT_LOGS)));
    // An API server that may not write into the log it finds, as one of root's, does not start.
    let log = graph.add("audit log", State::File(APISERVER.file(AUDIT_LOG, Contents::Kept)));
    graph.require(&log, &logs);
    vec![
        log,
        graph.add("encryption at rest", State::File(APISERVER.file(ENCRYPTION, encryption))),
        graph.add(
            "authentication of the API server",
            State::File(File::text(AUTHENTICATION, yaml(&authentication()))),
        ),
        graph.add("audit policy", State::File(File::text(AUDIT_POLICY, yaml(&audit_policy())))),
    ]
}

/// Files whose change restarts the API server.
///
/// Its own certificates are not among them: the one it serves with and that of the aggregator are watched
/// (k8s.io/apiserver, dynamiccertificates), those for kubelets are read for each connection (client-go,
/// transport.dynamicClientCert), those for etcd too (etcd client, transport.TLSInfo).
pub(super) fn files() -> Vec<PathBuf> {
    pki_files(&["ca.crt", "front-proxy-ca.crt", "sa.pub", "sa.key", "etcd/ca.crt"])
        .chain([ENCRYPTION, AUTHENTICATION, AUDIT_POLICY].map(PathBuf::from))
        .collect()
}

/// The pod.
pub(super) fn pod(pillar: &Pillar) -> Result<Pod, FormulaError> {
    let pki = |name: &str| format!("{}/{name}", paths::KUBERNETES_PKI);
    let own = pillar.node.control_plane;
    let issuer = format!("https://kubernetes.default.svc.{CLUSTER_DOMAIN}");
    let arguments = [
        ("advertise-address", own.to_string()),
        ("bind-address", own.to_string()),
        ("secure-port", "6443".to_owned()),
        ("allow-privileged", "true".to_owned()),
        ("authentication-config", AUTHENTICATION.to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("client-ca-file", CLIENT_CA.to_owned()),
        ("tls-cert-file", pki("apiserver.crt")),
        ("tls-private-key-file", pki("apiserver.key")),
        ("tls-min-version", "VersionTLS12".to_owned()),
        ("etcd-servers", etcd_servers(pillar)),
        ("etcd-cafile", pki("etcd/ca.crt")),
        ("etcd-certfile", pki("apiserver-etcd-client.crt")),
        ("etcd-keyfile", pki("apiserver-etcd-client.key")),
        ("kubelet-certificate-authority", pki("ca.crt")),
        ("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
        ("kubelet-preferred-address-types", "InternalIP,Hostname".to_owned()),
        ("proxy-client-cert-file", pki("front-proxy-client.crt")),
        ("proxy-client-key-file", pki("front-proxy-client.key")),
        ("requestheader-allowed-names", "front-proxy-client".to_owned()),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
        ("requestheader-group-headers", "X-Remote-Group".to_owned()),
        ("requestheader-username-headers", "X-Remote-User".to_owned()),
        ("service-account-issuer", issuer),
        ("service-account-key-file", pki("sa.pub")),
        ("service-account-signing-key-file", pki("sa.key")),
        ("service-cluster-ip-range", pillar.networks.services.to_string()),
        ("encryption-provider-config", ENCRYPTION.to_owned()),
        ("audit-policy-file", AUDIT_POLICY.to_owned()),
        ("audit-log-path", AUDIT_LOG.to_owned()),
        ("audit-log-maxage", "30".to_owned()),
        ("audit-log-maxbackup", "10".to_owned()),
        ("audit-log-maxsize", "100".to_owned()),
        ("profiling", "false".to_owned()),
    ];
    Ok(Pod::new("kube-apiserver", image(pillar, "kube-apiserver")?, APISERVER)
        .command(["kube-apiserver"])
        .command(arguments.map(|(name, value)| format!("--{name}={value}")))
        .host_path(HostPath::directory("pki", paths::KUBERNETES_PKI).read_only())
        .host_path(HostPath::file("encryption", ENCRYPTION).read_only())
        .host_path(HostPath::file("authentication", AUTHENTICATION).read_only())
        .host_path(HostPath::file("audit-policy", AUDIT_POLICY).read_only())
        .host_path(HostPath::directory("audit-logs", AUDIT_LOGS))
        .https_probes(own, 6443, "/livez", "/readyz")
        .requests("250m", "256Mi"))
}

/// The member on this node, or all of them where there is none.
fn etcd_servers(pillar: &Pillar) -> String {
    if pillar.roles.contains(&Role::Etcd) {
        return "https://127.0.0.1:2379".to_owned();
    }
    let members = pillar.etcd.iter().map(|address| format!("https://{}", endpoint(*address, 2379)));
    members.collect::<Vec<_>>().join(",")
}

/// Secrets are encrypted in etcd (NFR-09); what was written before that can still be read.
fn encryption() -> serde_json::Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [
                {"secretbox": {"keys": [{"name": "metalk8s-secrets-key", "secret": KEY_PLACEHOLDER}]}},
                {"identity": {}},
            ],
        }],
    })
}

/// Nobody is anonymous but the probes of health (KEP-4633).
fn authentication() -> serde_json::Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": true,
            "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}],
        },
    })
}

/// Who did what, without contents: reading is not recorded, and secrets never are beyond their names.
fn audit_policy() -> serde_json::Value {
    let quiet_users =
        ["system:kube-scheduler", "system:kube-controller-manager", "system:apiserver", "system:kube-proxy"];
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "None", "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io", "resources": ["events"]},
            ]},
            {"level": "None", "users": quiet_users, "resources": [{"group": "", "resources": ["endpoints"]}]},
            {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
            {"level": "Metadata"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encryption_key_is_not_in_the_graph() {
        let mut graph = Graph::default();
        configuration(&mut graph);
        let text = serde_json::to_string(&graph).unwrap();
        assert!(text.contains(KEY_PLACEHOLDER));
        assert!(PathBuf::from(ENCRYPTION_KEY).starts_with("/etc/metalk8s/crypt"));
    }
}
