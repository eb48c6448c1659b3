//! The order that requisites leave.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{Graph, GraphError, RequisiteKind, StateId};

/// A valid graph's edges, by position in [`Graph::steps`].
#[derive(Debug)]
pub(crate) struct Order {
    /// All positions, each after those it comes after; otherwise in the order they were added.
    pub(crate) sequence: Vec<usize>,
    /// What each state comes after.
    pub(crate) needs: Vec<Vec<(usize, Edge)>>,
    /// Who comes after each state, once per edge.
    pub(crate) followers: Vec<Vec<usize>>,
    /// States whose change each state precedes ([`RequisiteKind::Prereq`]).
    pub(crate) precedes: Vec<Vec<usize>>,
}

/// Why a state comes after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Require,
    Watch,
    OnChanges,
    OnFail,
    /// The other is a `Prereq` of this one.
    AfterPrereq,
}

impl Order {
    /// Checks a graph and orders it.
    pub(crate) fn of(graph: &Graph) -> Result<Self, GraphError> {
        let steps = graph.steps();
        let mut needs: Vec<Vec<(usize, Edge)>> = vec![Vec::new(); steps.len()];
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
        let mut precedes: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
        for (position, step) in steps.iter().enumerate() {
            if graph.position(&step.id) != Some(position) {
                return Err(GraphError::Duplicate(step.id.clone()));
            }
            for requisite in &step.requisites {
                let missing = || GraphError::Missing { state: step.id.clone(), on: requisite.on.clone() };
                let on = graph.position(&requisite.on).ok_or_else(missing)?;
                let (later, earlier, edge) = match requisite.kind {
                    RequisiteKind::Require => (position, on, Edge::Require),
                    RequisiteKind::Watch => (position, on, Edge::Watch),
                    RequisiteKind::OnChanges => (position, on, Edge::OnChanges),
                    RequisiteKind::OnFail => (position, on, Edge::OnFail),
                    RequisiteKind::Prereq => {
                        precedes[position].push(on);
                        (on, position, Edge::AfterPrereq)
                    }
                };
                needs[later].push((earlier, edge));
                followers[earlier].push(later);
            }
        }
        let sequence = sequence(&needs, &followers);
        if sequence.len() < steps.len() {
            return Err(GraphError::Cycle(cycle(graph, &needs, &sequence)));
        }
        Ok(Self { sequence, needs, followers, precedes })
    }
}

/// Kahn's algorithm, the earliest added first; shorter than the graph when there is a cycle.
fn sequence(needs: &[Vec<(usize, Edge)>], followers: &[Vec<usize>]) -> Vec<usize> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> = open
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(position, _)| Reverse(position))
        .collect();
    let mut sequence = Vec::with_capacity(needs.len());
    while let Some(Reverse(position)) = ready.pop() {
        sequence.push(position);
        for &follower in &followers[position] {
            open[follower] -= 1;
            if open[follower] == 0 {
                ready.push(Reverse(follower));
            }
        }
    }
    sequence
}

/// One cycle among the states that no order reached, its first name repeated at the end.
fn cycle(graph: &Graph, needs: &[Vec<(usize, Edge)>], sequence: &[usize]) -> Vec<StateId> {
    let mut stuck = vec![true; needs.len()];
    for &position in sequence {
        stuck[position] = false;
    }
    // Every stuck state comes after a stuck state, so walking backwards must meet itself.
    let mut path: Vec<usize> = Vec::new();
    let mut seen: Vec<Option<usize>> = vec![None; needs.len()];
    let mut at = stuck.iter().position(|stuck| *stuck).expect("a cycle leaves states without an order");
    loop {
        if let Some(first) = seen[at] {
            path.drain(..first);
            path.push(at);
            return path.into_iter().map(|position| graph.steps()[position].id.clone()).collect();
        }
        seen[at] = Some(path.len());
        path.push(at);
        at = needs[at]
            .iter()
            .map(|(earlier, _)| *earlier)
            .find(|earlier| stuck[*earlier])
            .expect("a stuck state comes after a stuck state");
    }
}

#[cfg(test)]
mod tests {
    use super::Order;
    use crate::{Graph, GraphError, RequisiteKind, State, state::Swap};

    fn graph(names: &[&str], edges: &[(&str, RequisiteKind, &str)]) -> Graph {
        let mut graph = Graph::default();
        let ids: Vec<_> =
            names.iter().map(|name| graph.add(*name, State::Swap(Swap { enabled: false }))).collect();
        let id = |name: &str| ids.iter().find(|id| id.as_str() == name).unwrap();
        for (state, kind, on) in edges {
            graph.depend(id(state), *kind, id(on));
        }
        graph
    }

    fn order(graph: &Graph) -> Vec<&str> {
        let sequence = Order::of(graph).unwrap().sequence;
        sequence.into_iter().map(|position| graph.steps()[position].id.as_str()).collect()
    }

    #[test]
    fn states_keep_the_order_they_were_added_in_unless_a_requisite_says_otherwise() {
        use RequisiteKind::{Prereq, Require};
        assert_eq!(order(&graph(&["a", "b", "c"], &[])), ["a", "b", "c"]);
        assert_eq!(order(&graph(&["a", "b", "c"], &[("a", Require, "c")])), ["b", "c", "a"]);
        assert_eq!(order(&graph(&["a", "b"], &[("b", Prereq, "a")])), ["b", "a"]);
    }

    #[test]
    fn what_two_graphs_have_in_common_is_once_in_both_together() {
        use RequisiteKind::Require;
        let mut both = graph(&["a", "b"], &[("b", Require, "a")]);
        both.unite(graph(&["a", "c", "b"], &[("c", Require, "a"), ("b", Require, "c"), ("b", Require, "a")]));
        assert_eq!(order(&both), ["a", "c", "b"]);
        assert_eq!(both.get("b").unwrap().requisites.len(), 2);
    }

    #[test]
    fn a_cycle_is_named_from_state_to_state() {
        use RequisiteKind::{Require, Watch};
        let edges = [("start", Require, "a"), ("a", Require, "b"), ("b", Watch, "c"), ("c", Require, "a")];
        let error = graph(&["start", "a", "b", "c"], &edges).validate().unwrap_err();
        assert_eq!(error.to_string(), "these states wait for one another: a -> b -> c -> a");
        let own = graph(&["a"], &[("a", Require, "a")]).validate().unwrap_err();
        assert_eq!(own.to_string(), "these states wait for one another: a -> a");
    }

    #[test]
    fn a_stored_graph_with_a_missing_or_a_double_name_is_refused() {
        let json = |steps: &str| serde_json::from_str::<Graph>(&format!(r#"{{"steps":[{steps}]}}"#)).unwrap();
        let swap = r#"{"id":"a","state":{"state":"swap","enabled":false},"requisites":[]}"#;
        assert!(matches!(json(&format!("{swap},{swap}")).validate(), Err(GraphError::Duplicate(_))));
        let lost = swap.replace("[]", r#"[{"kind":"require","on":"b"}]"#);
        let error = json(&lost).validate().unwrap_err();
        assert_eq!(error.to_string(), "state `a` depends on `b`, which does not exist");
    }

    #[test]
    fn a_graph_survives_being_stored() {
        let graph = graph(&["a", "b"], &[("b", RequisiteKind::Watch, "a")]);
        let text = serde_json::to_string(&graph).unwrap();
        let mut back: Graph = serde_json::from_str(&text).unwrap();
        assert_eq!(back, graph);
        let (a, b) = (back.steps()[0].id.clone(), back.steps()[1].id.clone());
        back.require(&b, &a);
        assert_eq!(back.get("b").unwrap().requisites.len(), 2);
    }
}
