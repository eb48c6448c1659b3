//! Over the fleet: exactly the plan of a file is carried out, node by node.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use metalk8s_diagnostics::{Code, Diagnose, Hint, explain};
use metalk8s_engine::{Difference, StateId};
use metalk8s_kube::fleet::FleetError;
use metalk8s_types::{Role, fleet::Agent};
use serde::Serialize;

use super::{
    Answer, CARRY_OUT, LONGEST_APPLY, LONGEST_LOOK, NodePlan, Order, PlanFile,
    fleet::{tell, words},
};
use crate::{bus::Bus, dispatch::Call, master::name};

/// A plan that is carried out.
pub struct Application<'a> {
    bus: &'a dyn Bus,
    plan: &'a PlanFile,
    patience: Duration,
}

/// All nodes agree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Nodes on which something is to be done, in the order in which it is: how many states.
    pub to_do: Vec<(String, usize)>,
    /// States of the plan that are done already, by node.
    pub done: BTreeMap<String, Vec<StateId>>,
}

/// Why a plan is not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyPlanError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] FleetError),
    /// It is another cluster's.
    #[error("the plan was made for another cluster: {planned}, and this one is {found}")]
    Cluster {
        /// The plan's.
        planned: String,
        /// This one.
        found: String,
    },
    /// Nodes that did not answer. Nothing was changed.
    #[error("nothing was changed, because not all nodes answer: {}", list(.nodes))]
    Silent {
        /// Why, by node.
        nodes: BTreeMap<String, String>,
    },
    /// Something else would be done now on these nodes, and none of them was changed.
    #[error("{} changed, because it would not be what the plan says:\n{}", but_for(.changed), lines(.nodes))]
    Moved {
        /// What is different, by node.
        nodes: BTreeMap<String, Difference>,
        /// Nodes that came before, on which the plan was carried out: they agreed, and then another one had moved.
        changed: Vec<String>,
    },
    /// A node failed; those after it were left alone.
    #[error("`{node}` failed, and no node after it was changed:\n{}", .failed.join("\n"))]
    Failed {
        /// The node.
        node: String,
        /// A line for each state, with causes.
        failed: Vec<String>,
    },
}

fn list(nodes: &BTreeMap<String, String>) -> String {
    nodes.iter().map(|(node, why)| format!("`{node}`: {why}")).collect::<Vec<_>>().join("; ")
}

fn but_for(nodes: &[String]) -> String {
    if nodes.is_empty() { "nothing was".to_owned() } else { format!("no node but {} was", nodes.join(", ")) }
}

fn lines(nodes: &BTreeMap<String, Difference>) -> String {
    let told = |(node, difference): (&String, &Difference)| -> Vec<String> {
        difference.lines().into_iter().map(|line| format!("  {node}: {line}")).collect()
    };
    nodes.iter().flat_map(told).collect::<Vec<_>>().join("\n")
}

impl Diagnose for ApplyPlanError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Bus(error) => error.code(),
            Self::Silent { .. } => Some(explain::AGENT_SILENT),
            Self::Cluster { .. } | Self::Moved { .. } => Some(explain::PLAN_MOVED),
            Self::Failed { .. } => Some(explain::STATE_FAILED),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Bus(_) => Vec::new(),
            Self::Cluster { .. } => vec!["make a plan of this cluster: `metalk8s plan -o FILE`".into()],
            Self::Silent { .. } => vec!["`metalk8s node list` shows which agents answer".into()],
            Self::Moved { .. } => {
                vec!["look at what would change now, and agree to it: `metalk8s plan -o FILE`".into()]
            }
            Self::Failed { .. } => vec![
                "what was done is kept: repair the cause, then apply the same plan again; it goes on".into(),
            ],
        }
    }
}

impl<'a> Application<'a> {
    /// Of this plan. Agents have `patience` to begin.
    ///
    /// # Errors
    /// When the plan is of another cluster than `cluster`.
    pub fn new(
        bus: &'a dyn Bus,
        plan: &'a PlanFile,
        cluster: &str,
        patience: Duration,
    ) -> Result<Self, ApplyPlanError> {
        if plan.cluster != cluster {
            return Err(ApplyPlanError::Cluster { planned: plan.cluster.clone(), found: cluster.to_owned() });
        }
        Ok(Self { bus, plan, patience })
    }

    /// Has all nodes of the plan on which something would be changed compare it with what they see now.
    ///
    /// # Errors
    /// When one does not answer, or would do something else.
    pub async fn check(&self) -> Result<Checked, ApplyPlanError> {
        let nodes = in_order(self.plan.pending(), &self.bus.agents().await?);
        let asked = nodes.iter().map(async |(node, plan)| {
            let answer = self.tell(node, &plan.order(true), LONGEST_LOOK).await;
            ((*node).clone(), answer)
        });
        judged(join_all(asked).await)
    }

    /// Carries it out: one node after the other, in the order of `checked`; `told` is called before each node with
    /// nothing, and after it with what it answered.
    ///
    /// # Errors
    /// With the first node that does not do all of it; those after it are left alone.
    pub async fn carry_out(
        &self,
        checked: &Checked,
        mut told: impl FnMut(&str, Option<&Answer>),
    ) -> Result<(), ApplyPlanError> {
        for (place, (node, _)) in checked.to_do.iter().enumerate() {
            let Some(plan) = self.plan.nodes.get(node) else { continue };
            told(node, None);
            let answer = self.tell(node, &plan.order(false), LONGEST_APPLY).await;
            if let Ok(answer) = &answer {
                told(node, Some(answer));
            }
            let failed = |failed| Err(ApplyPlanError::Failed { node: node.clone(), failed });
            match answer {
                Ok(Answer::Applied { failed: lines, .. }) if lines.is_empty() => {}
                Ok(Answer::Applied { failed: lines, .. }) => return failed(lines),
                Ok(Answer::Refused { difference }) => {
                    let before = checked.to_do.iter().take(place);
                    return Err(ApplyPlanError::Moved {
                        nodes: [(node.clone(), difference)].into(),
                        changed: before.map(|(node, _)| node.clone()).collect(),
                    });
                }
                Ok(Answer::Agrees { .. }) => return failed(vec!["it only compared".to_owned()]),
                Err(why) => return failed(vec![why]),
            }
        }
        Ok(())
    }

    async fn tell(&self, node: &str, order: &Order, timeout: Duration) -> Result<Answer, String> {
        let call = Call {
            // What was interrupted is gone on with by whoever wants it.
            once: !order.only_check,
            begin_within: self.patience,
            ..Call::new(CARRY_OUT, words(order), timeout)
        };
        let told = tell(self.bus, &[node.to_owned()].into(), &call, self.patience).await;
        told.into_iter().next().map_or_else(|| Err("it did not answer".to_owned()), |(_, answer)| answer)
    }
}

/// Masters first, one at a time as all nodes; then the others, by name.
fn in_order<'p>(
    pending: impl Iterator<Item = (&'p String, &'p NodePlan)>,
    agents: &[Agent],
) -> Vec<(&'p String, &'p NodePlan)> {
    let is_master = |node: &str| {
        agents.iter().any(|agent| name(agent) == node && agent.spec.roles.contains(&Role::Master))
    };
    let mut nodes: Vec<_> = pending.collect();
    nodes.sort_by_key(|(node, _)| (!is_master(node), *node));
    nodes
}

/// What all nodes together say, before one is changed.
fn judged(answers: Vec<(String, Result<Answer, String>)>) -> Result<Checked, ApplyPlanError> {
    let (mut checked, mut silent, mut moved) = (Checked::default(), BTreeMap::new(), BTreeMap::new());
    for (node, answer) in answers {
        match answer {
            Ok(Answer::Agrees { to_do, done }) => {
                if !done.is_empty() {
                    checked.done.insert(node.clone(), done);
                }
                if to_do > 0 {
                    checked.to_do.push((node, to_do));
                }
            }
            Ok(Answer::Refused { difference }) => drop(moved.insert(node, difference)),
            Ok(Answer::Applied { .. }) => drop(silent.insert(node, "it did more than to compare".to_owned())),
            Err(why) => drop(silent.insert(node, why)),
        }
    }
    if !moved.is_empty() {
        return Err(ApplyPlanError::Moved { nodes: moved, changed: Vec::new() });
    }
    if !silent.is_empty() {
        return Err(ApplyPlanError::Silent { nodes: silent });
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans::tests::{agent, changes};

    #[test]
    fn masters_come_first() {
        let plans: BTreeMap<String, NodePlan> =
            ["a", "b", "c"].map(|node| (node.to_owned(), NodePlan::now(changes(&["x"])))).into();
        let agents = [agent("a", &[Role::Node]), agent("b", &[Role::Node]), agent("c", &[Role::Master])];
        let order: Vec<&str> =
            in_order(plans.iter(), &agents).iter().map(|(node, _)| node.as_str()).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[test]
    fn one_node_that_would_do_something_else_keeps_all_from_being_changed() {
        let agrees = |to_do, done: &[&str]| {
            let done = changes(done).changes.into_iter().map(|change| change.id).collect();
            Ok(Answer::Agrees { to_do, done })
        };
        let moved = || Ok(Answer::Refused { difference: changes(&["new"]).compare(&[]) });
        let answers = |rest: Vec<(&str, Result<Answer, String>)>| {
            judged(rest.into_iter().map(|(node, answer)| (node.to_owned(), answer)).collect())
        };
        let checked = answers(vec![("a", agrees(2, &["x"])), ("b", agrees(0, &["y"]))]).unwrap();
        assert_eq!(checked.to_do, [("a".to_owned(), 2)]);
        assert_eq!(checked.done.keys().collect::<Vec<_>>(), ["a", "b"]);
        let error =
            answers(vec![("a", agrees(1, &[])), ("b", moved()), ("c", Err("gone".into()))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing was changed, because it would not be what the plan says:\n  b: new: `new`: write /new"
        );
        let ApplyPlanError::Moved { nodes, .. } = error else { panic!("{error}") };
        let later = ApplyPlanError::Moved { nodes, changed: vec!["a".to_owned()] }.to_string();
        assert!(later.starts_with("no node but a was changed, because "), "{later}");
        let error = answers(vec![("a", agrees(1, &[])), ("c", Err("gone".into()))]).unwrap_err();
        assert!(matches!(&error, ApplyPlanError::Silent { nodes } if nodes.len() == 1));
        assert!(error.to_string().ends_with("`c`: gone"));
    }
}
