//! Over the fleet: every agent is asked what would change on its node.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metalk8s_diagnostics::{Code, Diagnose, Hint, explain};
use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{Returned, output};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{LONGEST_LOOK, LOOK, NodePlan};
use crate::{
    bus::Bus,
    dispatch::{Call, dispatch},
    master::{Answers, name},
};

/// How many letters of a reason are told.
const LONGEST_REASON: usize = 200;

/// What nodes answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What would change, by node.
    pub plans: BTreeMap<String, NodePlan>,
    /// Nodes that told nothing, and why.
    pub silent: BTreeMap<String, String>,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] FleetError),
    /// Names that are nobody's.
    #[error("these are no nodes of the fleet: {}", .nodes.join(", "))]
    Unknown {
        /// The names.
        nodes: Vec<String>,
    },
}

impl Diagnose for AskError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Bus(error) => error.code(),
            Self::Unknown { .. } => Some(explain::NODE_UNKNOWN),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Bus(error) => error.hints(),
            Self::Unknown { .. } => vec!["`metalk8s node list` lists all nodes".into()],
        }
    }
}

/// Asks these nodes, or all where none is named. Who does not begin within `patience` counts as silent.
///
/// # Errors
/// When the API cannot be asked, or a name is nobody's.
pub async fn ask(bus: &dyn Bus, nodes: &[String], patience: Duration) -> Result<Asked, AskError> {
    let known: BTreeSet<String> = bus.agents().await?.iter().map(|agent| name(agent).to_owned()).collect();
    let unknown: Vec<String> = nodes.iter().filter(|node| !known.contains(*node)).cloned().collect();
    if !unknown.is_empty() {
        return Err(AskError::Unknown { nodes: unknown });
    }
    let chosen = if nodes.is_empty() { known } else { nodes.iter().cloned().collect() };
    let call = Call { begin_within: patience, ..Call::new(LOOK, [""; 0], LONGEST_LOOK) };
    let mut asked = Asked::default();
    for (node, answer) in tell(bus, &chosen, &call, patience).await {
        match answer {
            Ok(plan) => drop(asked.plans.insert(node, plan)),
            Err(why) => drop(asked.silent.insert(node, why)),
        }
    }
    Ok(asked)
}

/// Has nodes carry out a call; what each returned, or why there is nothing.
pub(super) async fn tell<T: DeserializeOwned>(
    bus: &dyn Bus,
    nodes: &BTreeSet<String>,
    call: &Call,
    patience: Duration,
) -> Vec<(String, Result<T, String>)> {
    let mut answers = Answers::new(dispatch(bus, nodes, call).await, patience);
    let mut told = Vec::new();
    while let Some((node, answer)) = answers.next().await {
        told.push((node, understood(answer, patience)));
    }
    told
}

fn understood<T: DeserializeOwned>(answer: output::Answer, patience: Duration) -> Result<T, String> {
    match answer {
        output::Answer::Returned(Returned::Value(value) | Returned::Ended { value, retcode: _ }) => {
            let words = value.as_str().map(shortened);
            serde_json::from_value(value).map_err(|error| words.unwrap_or_else(|| error.to_string()))
        }
        output::Answer::Returned(states @ Returned::States(_)) => {
            Err(format!("it returned something else: {}", states.value()))
        }
        output::Answer::NotConnected => {
            Err(explain::AGENT_SILENT.at_end_of("its agent could not be given the job".to_owned()))
        }
        output::Answer::NoResponse { jid } => {
            let why = format!("its agent did not answer within {} s (job {jid})", patience.as_secs());
            Err(explain::AGENT_SILENT.at_end_of(why))
        }
    }
}

/// A reason that has room in a table.
fn shortened(why: &str) -> String {
    match why.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{} ...", why[..end].trim_end()),
        None => why.to_owned(),
    }
}

/// An order as the words of a job.
pub(super) fn words(order: &impl Serialize) -> Vec<String> {
    let value: Value = serde_json::to_value(order).expect("an order has only string keys");
    vec![value.to_string()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plans::tests::changes;

    fn of(answer: output::Answer) -> Result<NodePlan, String> {
        understood(answer, Duration::from_secs(7))
    }

    #[test]
    fn an_answer_is_a_plan_or_the_reason_why_there_is_none() {
        let plan = NodePlan::now(changes(&["a"]));
        let value = serde_json::to_value(&plan).unwrap();
        assert_eq!(of(output::Answer::Returned(Returned::Value(value))), Ok(plan));
        let failed = Returned::Ended { value: json!("metalk8s.plan: no settings"), retcode: 1 };
        assert_eq!(of(output::Answer::Returned(failed)), Err("metalk8s.plan: no settings".into()));
        let long = Returned::Ended { value: json!("ä".repeat(5000)), retcode: 1 };
        assert_eq!(of(output::Answer::Returned(long)), Err(format!("{} ...", "ä".repeat(LONGEST_REASON))));
        let late = of(output::Answer::NoResponse { jid: "1".into() }).unwrap_err();
        assert!(late.contains("within 7 s"), "{late}");
        assert!(of(output::Answer::Returned(Returned::Value(json!({"a": 1})))).is_err());
    }
}
