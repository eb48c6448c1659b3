//! The stages that turn a bare machine into a Bootstrap node (area BOOT).

use metalk8s_engine::{
    Graph, State,
    state::{Image, ImageSource},
};
use metalk8s_types::{Grains, Pillar, Role};

use crate::{
    addons::{self, AddonError, UpstreamManifests},
    agent, apiserver_proxy, containerd, control_plane, etcd, firewall, fleet,
    hostname::node_name,
    kubelet, node, pki, repositories, salt_master, system,
};

/// The name of the stage with the API server and what goes with it.
pub const CONTROL_PLANE: &str = "control-plane";
/// The name of the stage that starts the container runtime.
pub const CONTAINERD: &str = "containerd";
/// The name of the stage that installs packages.
pub const PACKAGES: &str = "packages";
pub(crate) const NETWORK: &str = "network";
pub(crate) const DNS: &str = "dns";
/// The names of the stages with what runs in the cluster and is of no node.
pub const DEPLOYED: [&str; 2] = [NETWORK, DNS];

/// One part of a procedure: its states are applied before the next part begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// What it does, as it is shown while it runs.
    pub title: &'static str,
    /// Its name in journals.
    pub name: &'static str,
    /// Its states.
    pub graph: Graph,
}

/// Why no stages can be made.
#[derive(Debug, thiserror::Error)]
pub enum FormulaError {
    /// The archive lacks something that every node needs.
    #[error("the archive of version {version} holds no {what} `{name}`")]
    Missing {
        /// Version of the archive.
        version: String,
        /// `image` or `package`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An addon cannot be rendered.
    #[error(transparent)]
    Addon(#[from] AddonError),
}

/// All stages of a Bootstrap node, in their order.
///
/// `upstream` holds the manifests that the archive takes from upstream programs, such as Calico's CRDs.
pub fn bootstrap(
    grains: &Grains,
    pillar: &Pillar,
    upstream: &UpstreamManifests,
) -> Result<Vec<Stage>, FormulaError> {
    let mut network = addons::kube_proxy(grains, pillar)?;
    network.append(addons::calico(grains, pillar, upstream)?);
    let mut stages = vec![
        Stage {
            title: "Mounting archives",
            name: "archives",
            graph: repositories::archives_mounted(&pillar.archives),
        },
        prepared(grains, pillar),
        packages(grains, pillar)?,
        Stage {
            title: "Starting the container runtime",
            name: CONTAINERD,
            graph: containerd::running(grains, pillar)?,
        },
        Stage {
            title: "Making keys and certificates",
            name: "pki",
            graph: pki::keys(node_name(grains), pillar),
        },
        Stage {
            title: "Starting kubelet and repositories",
            name: "kubelet",
            graph: {
                let mut graph = repositories::server(pillar)?;
                graph.append(apiserver_proxy::static_pod(pillar)?);
                graph.append(kubelet::running(grains, pillar, &node::bootstrap_taints())?);
                graph
            },
        },
    ];
    // The API server of a lone master could not be told: it is what does not run yet.
    if pillar.masters.len() > 1 {
        stages.push(Stage {
            title: "Telling the other nodes where this one is",
            name: "announcement",
            graph: fleet::announced(node_name(grains), pillar),
        });
    }
    stages.extend([
        Stage {
            title: "Starting etcd and the control plane",
            name: CONTROL_PLANE,
            graph: started(&[Role::Etcd, Role::Master], grains, pillar)?,
        },
        Stage { title: "Registering the node", name: "node", graph: node::bootstrap(grains, pillar) },
        Stage {
            title: "Joining the fleet",
            name: "fleet",
            graph: {
                let mut graph = fleet::bus(node_name(grains), pillar);
                graph.append(agent::running());
                graph.append(salt_master::static_pod(pillar)?);
                graph
            },
        },
        Stage { title: "Deploying the network", name: NETWORK, graph: network },
        Stage { title: "Deploying DNS", name: DNS, graph: addons::coredns(grains, pillar)? },
    ]);
    if pillar.addons.metallb {
        stages.push(Stage {
            title: "Deploying the load balancer",
            name: "load-balancer",
            graph: addons::metallb(pillar, upstream)?,
        });
    }
    stages.extend([Stage {
        title: "Waiting until the node is ready",
        name: "ready",
        graph: {
            let mut graph = node::ready(grains);
            graph.add("settings of the cluster", fleet::conducted());
            graph
        },
    }]);
    Ok(stages)
}

/// All stages as one graph: each stage after the one before.
pub fn as_one(stages: Vec<Stage>) -> Graph {
    let mut all = Graph::default();
    for stage in stages {
        all.then(stage.graph);
    }
    all
}

/// The static pods that these roles bring, once repositories answer.
pub(crate) fn started(roles: &[Role], grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let answer = graph.add("repositories answer", repositories::ready(pillar));
    if roles.contains(&Role::Etcd) {
        etcd::static_pod(&mut graph, &answer, grains, pillar)?;
    }
    if roles.contains(&Role::Master) {
        control_plane::static_pods(&mut graph, &answer, grains, pillar)?;
    }
    Ok(graph)
}

/// The stage in which the host becomes what packages of ours expect.
pub(crate) fn prepared(grains: &Grains, pillar: &Pillar) -> Stage {
    let mut graph = system::prepared(grains, pillar);
    graph.append(firewall::openings(pillar));
    Stage { title: "Preparing the system", name: "system", graph }
}

/// The stage that installs the packages of a node.
pub(crate) fn packages(grains: &Grains, pillar: &Pillar) -> Result<Stage, FormulaError> {
    let graph = repositories::packages(grains, pillar)?;
    Ok(Stage { title: "Installing packages", name: PACKAGES, graph })
}

/// An image of the archive that was pulled from the repositories, and stays.
pub(crate) fn pulled(pillar: &Pillar, name: &str) -> Result<State, FormulaError> {
    let reference = image(pillar, name)?;
    Ok(State::Image(Image {
        reference,
        digest: pillar.archive.images[name].digest.clone(),
        source: ImageSource::Registry,
        pinned: true,
    }))
}

/// The full reference of an image that the archive must hold.
pub(crate) fn image(pillar: &Pillar, name: &str) -> Result<String, FormulaError> {
    pillar.archive.reference(name).ok_or_else(|| FormulaError::Missing {
        version: pillar.archive.version.clone(),
        what: "image",
        name: name.to_owned(),
    })
}
