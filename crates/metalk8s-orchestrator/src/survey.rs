//! One question to many agents at once, and who did not answer it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use metalk8s_diagnostics::{coded_sentence, explain};
use metalk8s_types::fleet::JobState;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    bus::Bus,
    dispatch::{Call, dispatch},
};

/// What an agent answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// What the function returned.
    pub value: Value,
    /// When it was asked.
    pub asked: Timestamp,
    /// When the answer was here.
    pub heard: Timestamp,
}

/// Has each of these nodes call a function without words, within `patience`; for each, the answer, or why there
/// is none.
pub async fn ask_everybody(
    bus: &dyn Bus,
    nodes: &BTreeSet<String>,
    function: &str,
    patience: Duration,
) -> BTreeMap<String, Result<Answered, String>> {
    let call = Call { begin_within: patience, ..Call::new(function, [""; 0], patience) };
    let asked = Timestamp::now();
    let mut dispatched = dispatch(bus, nodes, &call).await;
    let mut answers: BTreeMap<String, Result<Answered, String>> = std::mem::take(&mut dispatched.refused)
        .into_iter()
        .map(|(node, error)| (node, Err(coded_sentence(&error))))
        .collect();
    let end = Instant::now() + patience;
    while let Some((node, status)) = dispatched.next(end).await {
        let answer = match (status.state, status.result, status.error) {
            (JobState::Done, Some(result), _) => serde_json::from_str(&result)
                .map(|value| Answered { value, asked, heard: Timestamp::now() })
                .map_err(|error| error.to_string()),
            (_, _, Some(error)) => Err(error),
            (state, _, None) => Err(format!("the job ended as {state:?}")),
        };
        answers.insert(node, answer);
    }
    for node in dispatched.waiting {
        let why = format!("its agent did not answer within {} s", patience.as_secs());
        answers.insert(node, Err(explain::AGENT_SILENT.at_end_of(why)));
    }
    answers
}
