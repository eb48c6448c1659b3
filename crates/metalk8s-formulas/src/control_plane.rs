//! API server, controller manager and scheduler as static pods of a master.

mod apiserver;

use std::path::{Path, PathBuf};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Condition, Removed, StaticPod, Wait},
};
use metalk8s_types::{Grains, Pillar, paths, pillar::Authorities};

use crate::{
    accounts::{Account, CONTROLLER_MANAGER, SCHEDULER},
    bootstrap::{FormulaError, image, pulled},
    hostname::node_name,
    layout::endpoint,
    pod::{HostPath, Pod},
};

/// The three static pods; all their images are pulled, once `repositories` answer, before the first starts. With
/// the other static pods of `graph` they run as their manifests are, and the API server answers at the end.
pub(crate) fn static_pods(
    graph: &mut Graph,
    repositories: &StateId,
    grains: &Grains,
    pillar: &Pillar,
) -> Result<(), FormulaError> {
    let mut images = Vec::new();
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        images.push(graph.add(format!("image {name} pulled"), pulled(pillar, name)?));
    }
    graph.require(&images[0], repositories);
    // The three share their only layer: pulled one after the other it is fetched and unpacked once.
    for pair in images.windows(2) {
        graph.require(&pair[1], &pair[0]);
    }
    let last = images.last().cloned().expect("three images were added");
    let configuration = apiserver::configuration(graph);
    let server = add(graph, "kube-apiserver", apiserver::pod(pillar)?, apiserver::files());
    graph.require_all(&server, &configuration);
    graph.require_all(&server, [&last]);
    for (pod, _) in elected_pods(graph, pillar)? {
        graph.require(&pod, &last);
    }
    let written: Vec<StateId> = graph
        .steps()
        .iter()
        .filter(|step| matches!(step.state, State::StaticPod(_)))
        .map(|step| step.id.clone())
        .collect();
    let current = graph.add(
        "static pods run as their manifests are",
        State::Removed(Removed::OutdatedStaticPods { node: node_name(grains).to_owned() }),
    );
    graph.require_all(&current, &written);
    let answers = graph.add(
        "API server answers",
        State::Wait(Wait {
            until: Condition::Http {
                url: format!("https://{}/readyz", endpoint(pillar.node.control_plane, 6443)),
                ca: Some(Path::new(paths::KUBERNETES_PKI).join("ca.crt")),
                client: None,
            },
            deadline_seconds: 300,
        }),
    );
    graph.require(&answers, &current);
    Ok(())
}

/// Controller manager and scheduler, each with its kubeconfig: they read it when they start. The certificates
/// that they serve with are watched (k8s.io/apiserver, dynamiccertificates).
pub(crate) fn elected_pods(
    graph: &mut Graph,
    pillar: &Pillar,
) -> Result<[(StateId, PathBuf); 2], FormulaError> {
    let kubeconfig = |name: &str| PathBuf::from(format!("/etc/kubernetes/{name}.conf"));
    let (of_manager, of_scheduler) = (kubeconfig("controller-manager"), kubeconfig("scheduler"));
    let files = pki_files(&["ca.crt", "sa.key"]).chain([of_manager.clone()]).collect();
    let manager = add(graph, "kube-controller-manager", controller_manager(pillar)?, files);
    let scheduler = add(graph, "kube-scheduler", scheduler(pillar)?, vec![of_scheduler.clone()]);
    Ok([(manager, of_manager), (scheduler, of_scheduler)])
}

fn add(graph: &mut Graph, name: &str, pod: Pod, files: Vec<PathBuf>) -> StateId {
    graph.add(
        format!("static pod {name}"),
        State::StaticPod(StaticPod {
            path: Path::new(paths::MANIFESTS).join(format!("{name}.yaml")),
            manifest: pod.manifest(),
            files,
        }),
    )
}

fn pki_files<'a>(names: &'a [&'a str]) -> impl Iterator<Item = PathBuf> {
    names.iter().map(|name| Path::new(paths::KUBERNETES_PKI).join(name))
}

fn controller_manager(pillar: &Pillar) -> Result<Pod, FormulaError> {
    let pki = |name: &str| format!("{}/{name}", paths::KUBERNETES_PKI);
    let signs = match pillar.authorities {
        Authorities::Here => {
            // It reads both again when they are renewed (k8s.io/kubernetes, certificates/signer).
            vec![
                ("cluster-signing-cert-file", pki("issuing-ca.crt")),
                ("cluster-signing-key-file", pki("issuing-ca.key")),
            ]
        }
        Authorities::Elsewhere(_) => Vec::new(),
    };
    let own = [
        ("root-ca-file", pki("ca.crt")),
        ("service-account-private-key-file", pki("sa.key")),
        ("use-service-account-credentials", "true".to_owned()),
        // Calico hands out the pods' addresses.
        ("allocate-node-cidrs", "false".to_owned()),
        ("cluster-name", "kubernetes".to_owned()),
    ];
    Ok(elected(pillar, CONTROLLER_MANAGER, "controller-manager", signs.into_iter().chain(own))?
        .https_probes(pillar.node.control_plane, 10257, "/healthz", "/healthz")
        .requests("100m", "64Mi"))
}

fn scheduler(pillar: &Pillar) -> Result<Pod, FormulaError> {
    Ok(elected(pillar, SCHEDULER, "scheduler", [])?
        .https_probes(pillar.node.control_plane, 10259, "/livez", "/readyz")
        .requests("50m", "32Mi"))
}

/// A program of which one, elected by all of them, works. Its user is called as it is; `short` names its
/// certificate and kubeconfig.
fn elected(
    pillar: &Pillar,
    user: Account,
    short: &str,
    own: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Pod, FormulaError> {
    let pki = |name: &str| format!("{}/{name}", paths::KUBERNETES_PKI);
    let kubeconfig = format!("/etc/kubernetes/{short}.conf");
    let shared = [
        ("bind-address", pillar.node.control_plane.to_string()),
        ("kubeconfig", kubeconfig.clone()),
        ("authentication-kubeconfig", kubeconfig.clone()),
        ("authorization-kubeconfig", kubeconfig.clone()),
        ("authorization-always-allow-paths", "/healthz,/readyz,/livez".to_owned()),
        ("tls-cert-file", pki(&format!("{short}.crt"))),
        ("tls-private-key-file", pki(&format!("{short}.key"))),
        ("client-ca-file", pki("ca.crt")),
        ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
        ("leader-elect", "true".to_owned()),
        ("profiling", "false".to_owned()),
    ];
    Ok(Pod::new(user.name, image(pillar, user.name)?, user)
        .command([user.name])
        .command(shared.into_iter().chain(own).map(|(name, value)| format!("--{name}={value}")))
        .host_path(HostPath::directory("pki", paths::KUBERNETES_PKI).read_only())
        .host_path(HostPath::file("kubeconfig", &kubeconfig).read_only()))
}
