//! What a node knows of the other nodes: it changes when one comes, goes, or has another address.

use metalk8s_engine::Graph;
use metalk8s_types::{Grains, Pillar};

use crate::{
    apiserver_proxy, bootstrap::FormulaError, containerd::registries, firewall, repositories::repository,
};

/// The balancer's API servers, where the repositories are, and who may come in. Nothing of it restarts a program.
pub fn neighbours(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = apiserver_proxy::static_pod(pillar)?;
    graph.append(firewall::openings(pillar));
    graph.append(repository(grains, pillar));
    graph.append(registries(pillar));
    Ok(graph)
}
