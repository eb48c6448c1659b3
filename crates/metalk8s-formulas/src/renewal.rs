//! Certificates in the course of time: the files they are in, who uses them, and how they are renewed.

use metalk8s_engine::{Graph, State, StateId};
use metalk8s_types::{Grains, Pillar, Role, paths};

use crate::{bootstrap::FormulaError, control_plane, hostname::node_name, kubelet, pki};

/// A file of a node that holds a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateFile {
    /// Where it is.
    pub path: &'static str,
    /// What it is.
    pub form: CertificateForm,
    /// The program that shows it, or that trusts it.
    pub used_by: &'static str,
    /// How that program takes a renewed one.
    pub taken: Taken,
}

/// What is in a file with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateForm {
    /// The certificate of a root, in PEM. The node that holds the authorities renews it where the root's key is on it;
    /// the others are given it.
    Authority,
    /// The one of an authority that signs in a root's place, in PEM. The node renews it where the root's key is on it.
    Issuing,
    /// One of a server or client, in PEM, with its key in a file beside it.
    Pair,
    /// A kubeconfig that holds certificate and key.
    Kubeconfig,
}

/// How a program takes a renewed certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It reads the file again by itself.
    ByItself,
    /// It is restarted, which interrupts nobody.
    Restarted,
    /// It takes the renewed one when it starts next. The former one, which has the same key, is as good until it ends.
    AtStart,
}

const fn file(
    path: &'static str,
    form: CertificateForm,
    used_by: &'static str,
    taken: Taken,
) -> CertificateFile {
    CertificateFile { path, form, used_by, taken }
}

/// Every file with a certificate that some role gives to a node.
pub const CERTIFICATE_FILES: &[CertificateFile] = {
    use CertificateForm::{Authority, Issuing, Kubeconfig, Pair};
    use Taken::{AtStart, ByItself, Restarted};
    &[
        file("/etc/kubernetes/pki/ca.crt", Authority, "all of Kubernetes", AtStart),
        file("/etc/kubernetes/pki/etcd/ca.crt", Authority, "etcd and its clients", AtStart),
        file(
            "/etc/kubernetes/pki/front-proxy-ca.crt",
            Authority,
            "kube-apiserver and what extends it",
            AtStart,
        ),
        file("/etc/metalk8s/pki/repositories/ca.crt", Authority, "clients of the repositories", AtStart),
        file(
            "/etc/kubernetes/pki/issuing-ca.crt",
            Issuing,
            "salt-master and kube-controller-manager",
            ByItself,
        ),
        file("/etc/kubernetes/pki/etcd/issuing-ca.crt", Issuing, "salt-master", ByItself),
        file("/etc/kubernetes/pki/front-proxy-issuing-ca.crt", Issuing, "salt-master", ByItself),
        file("/etc/metalk8s/pki/repositories/issuing-ca.crt", Issuing, "salt-master", ByItself),
        file("/etc/kubernetes/pki/apiserver.crt", Pair, "kube-apiserver", ByItself),
        file("/etc/kubernetes/pki/apiserver-kubelet-client.crt", Pair, "kube-apiserver", ByItself),
        file("/etc/kubernetes/pki/apiserver-etcd-client.crt", Pair, "kube-apiserver", ByItself),
        file("/etc/kubernetes/pki/front-proxy-client.crt", Pair, "kube-apiserver", ByItself),
        file("/etc/kubernetes/pki/controller-manager.crt", Pair, "kube-controller-manager", ByItself),
        file("/etc/kubernetes/pki/scheduler.crt", Pair, "kube-scheduler", ByItself),
        file("/etc/kubernetes/pki/kubelet.crt", Pair, "kubelet", ByItself),
        file("/etc/kubernetes/pki/etcd/server.crt", Pair, "etcd", ByItself),
        file("/etc/kubernetes/pki/etcd/peer.crt", Pair, "etcd", ByItself),
        file("/etc/kubernetes/pki/etcd/healthcheck-client.crt", Pair, "whoever asks etcd", ByItself),
        file("/etc/metalk8s/pki/repositories/server.crt", Pair, "repositories", ByItself),
        file("/etc/salt/pki/api/salt-api.crt", Pair, "salt-api", ByItself),
        file(paths::ADMIN_KUBECONFIG, Kubeconfig, "the administrator", ByItself),
        file(paths::KUBELET_KUBECONFIG, Kubeconfig, "kubelet", Restarted),
        file("/etc/kubernetes/controller-manager.conf", Kubeconfig, "kube-controller-manager", Restarted),
        file("/etc/kubernetes/scheduler.conf", Kubeconfig, "kube-scheduler", Restarted),
        file(paths::AGENT_KUBECONFIG, Kubeconfig, "metalk8s-agent", ByItself),
        file(paths::CONDUCTOR_KUBECONFIG, Kubeconfig, "salt-master", ByItself),
        file(paths::SALT_API_KUBECONFIG, Kubeconfig, "salt-api", ByItself),
    ]
};

/// Every certificate of the node is as it should be, and every program uses the one that is there.
///
/// No API server and no member of etcd is restarted: they read renewed certificates by themselves. So masters
/// need not wait for one another.
pub fn renewed(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = pki::keys(node_name(grains), pillar);
    let kubelet = graph.add("kubelet runs", kubelet::service());
    let mut restarted = vec![(kubelet, paths::KUBELET_KUBECONFIG.into())];
    if pillar.roles.contains(&Role::Master) {
        restarted.extend(control_plane::elected_pods(&mut graph, pillar)?);
    }
    for (program, kubeconfig) in restarted {
        let reads = |state: &State| matches!(state, State::Kubeconfig(wish) if wish.path == kubeconfig);
        let id = graph.steps().iter().find(|step| reads(&step.state)).map(|step| step.id.clone());
        let id: StateId = id.expect("whoever runs has a kubeconfig");
        graph.require(&program, &id);
    }
    Ok(graph)
}
