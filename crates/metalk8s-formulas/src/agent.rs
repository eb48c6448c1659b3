//! The agent of a node, as a service of its host (CFG-03).

use metalk8s_engine::{Graph, State, state::Service};

/// The unit of the agent, which its package brings; `salt-minion.service` is another name of it.
pub const UNIT: &str = "metalk8s-agent.service";

/// The agent runs, now and after a boot. It reads a renewed kubeconfig by itself.
pub fn running() -> Graph {
    let mut graph = Graph::default();
    graph.add("agent runs", State::Service(Service::running(UNIT)));
    graph
}
