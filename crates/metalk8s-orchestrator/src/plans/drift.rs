//! What a node keeps of a look at itself: for its agent to tell, and for whoever collects metrics.

use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use metalk8s_engine::ChangeSet;
use metalk8s_types::fleet::{DRIFT_NAMES, Drift};

use super::Asked;
use crate::file;

/// The file below the folder of metrics; its ending is what node_exporter looks for.
const METRICS: &str = "metalk8s_drift.prom";

/// What nodes say, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All nodes are what they shall be.
    AsWished,
    /// A node would be changed.
    Drifted,
    /// No node that was seen would be changed, but a node did not answer, or could not look at all its states.
    Incomplete,
}

impl Verdict {
    /// Of these answers.
    pub fn of(asked: &Asked) -> Self {
        let mut found = asked.plans.values().map(|plan| &plan.changes);
        if found.clone().any(|set| !set.changes.is_empty()) {
            Self::Drifted
        } else if asked.silent.is_empty() && found.all(ChangeSet::is_clean) {
            Self::AsWished
        } else {
            Self::Incomplete
        }
    }
}

/// Keeps what was seen of this node now, or why nothing could be: in the file of its drift, which is only written
/// where it tells something else, and as metrics.
///
/// # Errors
/// When a file cannot be written.
pub fn record(
    seen: Result<&ChangeSet, String>,
    now: Timestamp,
    drift_file: &Path,
    metrics: &Path,
) -> io::Result<()> {
    let drift = drift(seen, now);
    let before = fs::read(drift_file).ok().and_then(|bytes| serde_json::from_slice::<Drift>(&bytes).ok());
    if !before.is_some_and(|before| before.is_same(&drift)) {
        file::write(drift_file, &serde_json::to_vec(&drift)?, 0o600)?;
    }
    let path: PathBuf = metrics.join(METRICS);
    file::write(&path, metrics_text(&drift, now).as_bytes(), 0o644)
}

fn drift(seen: Result<&ChangeSet, String>, now: Timestamp) -> Drift {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    match seen {
        Ok(set) => Drift {
            changes: number(set.changes.len()),
            states: set.changes.iter().take(DRIFT_NAMES).map(|change| change.id.to_string()).collect(),
            unchecked: number(set.unchecked.len()),
            error: None,
            since: now,
        },
        Err(error) => Drift { changes: 0, states: Vec::new(), unchecked: 0, error: Some(error), since: now },
    }
}

fn metrics_text(drift: &Drift, now: Timestamp) -> String {
    let mut text = String::new();
    for (name, help, value) in [
        ("states", "States of this node that are not what they shall be.", drift.changes.to_string()),
        ("unchecked_states", "States of this node that could not be looked at.", drift.unchecked.to_string()),
        (
            "check_failed",
            "1 when nothing could be looked at, and the other values say nothing.",
            u8::from(drift.error.is_some()).to_string(),
        ),
        ("checked_timestamp_seconds", "When this node looked at itself last.", now.as_second().to_string()),
    ] {
        let name = format!("metalk8s_drift_{name}");
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::plans::{NodePlan, tests::changes};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_file_is_left_alone_while_it_tells_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (path, metrics) = (folder.path().join("agent/drift.json"), folder.path().join("metrics"));
        let keep = |set: &ChangeSet, now| record(Ok(set), at(now), &path, &metrics).unwrap();
        let found = || serde_json::from_slice::<Drift>(&fs::read(&path).unwrap()).unwrap();
        keep(&changes(&["a", "b"]), 10);
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o777, 0o600);
        keep(&changes(&["a", "b"]), 20);
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino(), "it was written again");
        assert_eq!((found().changes, found().since), (2, at(10)));
        assert_eq!(found().states, ["a", "b"]);
        keep(&changes(&[]), 30);
        assert_eq!((found().is_drifted(), found().since), (Some(false), at(30)));
        let text = fs::read_to_string(metrics.join(METRICS)).unwrap();
        assert!(text.contains("\nmetalk8s_drift_checked_timestamp_seconds 30\n"), "{text}");
    }

    #[test]
    fn metrics_have_the_text_format() {
        insta::assert_snapshot!(metrics_text(&drift(Ok(&changes(&["a"])), at(1000)), at(1000)));
        let failed = metrics_text(&drift(Err("no settings".into()), at(0)), at(0));
        assert!(failed.contains("\nmetalk8s_drift_check_failed 1\n"), "{failed}");
    }

    #[test]
    fn only_so_many_states_are_named() {
        let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let drift = drift(Ok(&changes(&names)), at(0));
        assert_eq!((drift.changes, drift.states.len()), (100, DRIFT_NAMES));
    }

    #[test]
    fn drift_that_was_seen_counts_more_than_nodes_that_were_not() {
        let asked = |plans: &[&[&str]], silent: bool| Asked {
            plans: plans
                .iter()
                .enumerate()
                .map(|(number, names)| (format!("node{number}"), NodePlan::now(changes(names))))
                .collect(),
            silent: silent.then(|| ("gone".to_owned(), "no answer".to_owned())).into_iter().collect(),
        };
        assert_eq!(Verdict::of(&asked(&[&[], &[]], false)), Verdict::AsWished);
        assert_eq!(Verdict::of(&asked(&[&[], &["a"]], true)), Verdict::Drifted);
        assert_eq!(Verdict::of(&asked(&[&[], &[]], true)), Verdict::Incomplete);
    }
}
