//! Which code a stage has that failed. Pure.

use metalk8s_diagnostics::{Code, explain};
use metalk8s_engine::{
    Graph, Outcome, Report, State, StepReport,
    state::{Condition, Wait},
};

/// The code of the first state that failed: what stopped it, where that is known, otherwise what kind of state it is.
pub(super) fn of_failure(graph: &Graph, report: &Report) -> Code {
    let failed = report.steps.iter().find(|step| step.outcome == Outcome::Failed);
    let Some(failed) = failed else { return explain::STATE_FAILED };
    let step = graph.get(failed.id.as_str());
    by_cause(failed)
        .or_else(|| step.and_then(|step| by_kind(&step.state, failed)))
        .unwrap_or(explain::STATE_FAILED)
}

/// Words that stand for one thing, whoever says them: the kernel (errno(3)), which Go writes in small letters, our
/// client of the API, or its server.
const CAUSES: [(&str, Code); 8] = [
    ("no space left on device", explain::DISK_FULL),
    ("cannot be reached", explain::API_UNREACHABLE),
    ("did not answer within", explain::API_UNREACHABLE),
    ("is forbidden:", explain::API_DENIED),
    ("containerd.sock", explain::CONTAINERD_DOWN),
    ("is not valid any more", explain::AUTHORITY_EXPIRED),
    ("the authority's file", explain::AUTHORITY_KEY_MISSING),
    ("cannot be carried out here", explain::NO_HANDS),
];

fn by_cause(failed: &StepReport) -> Option<Code> {
    CAUSES.iter().find(|(words, _)| says(failed, words)).map(|(_, code)| *code)
}

fn by_kind(state: &State, failed: &StepReport) -> Option<Code> {
    Some(match state {
        State::Packages(_) if says(failed, "offers `") => explain::PACKAGE_MISSING,
        // apt's words, and dnf's.
        State::Packages(_) if says(failed, "could not get lock") || says(failed, "waiting for process") => {
            explain::PACKAGE_LOCKED
        }
        State::Packages(_) => explain::PACKAGE_MANAGER_FAILED,
        State::Image(_) => explain::IMAGE_IMPORT,
        State::Mount(_) => explain::ARCHIVE_MOUNT,
        State::Swap(_) => explain::SWAP_IN_USE,
        State::Backup(_) => explain::BACKUP_FAILED,
        State::Object(_) if says(failed, "conflict") => explain::API_CONFLICT,
        State::Wait(Wait { until: Condition::NodeReady(_), .. }) => explain::NODE_NOT_READY,
        State::Wait(_) => explain::WAIT_TIMED_OUT,
        _ => return None,
    })
}

/// Whether these words in small letters are in what it failed with.
fn says(failed: &StepReport, words: &str) -> bool {
    std::iter::once(&failed.comment).chain(&failed.causes).any(|text| text.to_lowercase().contains(words))
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::state::{KernelModule, Packages, Swap};

    use super::*;

    /// The code of one state that failed with these words.
    fn code(state: State, comment: &str, causes: &[&str]) -> &'static str {
        let mut graph = Graph::default();
        let id = graph.add("it", state);
        let step = StepReport {
            id,
            what: String::new(),
            result: Some(false),
            outcome: Outcome::Failed,
            comment: comment.to_owned(),
            changes: Vec::new(),
            causes: causes.iter().map(|cause| (*cause).to_owned()).collect(),
            started: "2026-01-01T00:00:00Z".parse().unwrap(),
            duration_ms: 0.0,
            run_number: 0,
        };
        of_failure(&graph, &Report::new(vec![step])).as_str()
    }

    fn wait(until: Condition) -> State {
        State::Wait(Wait { until, deadline_seconds: 60 })
    }

    #[test]
    fn what_stopped_a_state_says_more_than_its_kind() {
        let swap = || State::Swap(Swap { enabled: false });
        assert_eq!(code(swap(), "could not turn swap off", &["swapoff ended with 255"]), "MK1211");
        let full = ["could not write `/etc/fstab`", "No space left on device (os error 28)"];
        assert_eq!(code(swap(), "could not turn swap off", &full), "MK1007");
        let pulled = ["failed to copy: write /var/lib/containerd/data: no space left on device"];
        assert_eq!(code(swap(), "could not turn swap off", &pulled), "MK1007");
        let gone = ["the API server https://127.0.0.1:7443 cannot be reached", "Connection refused"];
        assert_eq!(code(wait(Condition::NodeReady("node1".into())), "waited 60 s", &gone), "MK1701");
    }

    #[test]
    fn a_state_without_more_has_the_code_of_its_kind() {
        assert_eq!(code(wait(Condition::NodeReady("node1".into())), "waited 60 s", &[]), "MK1705");
        assert_eq!(code(wait(Condition::Socket("/run/x".into())), "waited 60 s", &[]), "MK1503");
        let packages =
            || State::Packages(Packages { packages: [].into(), hold: false, only_from: Vec::new() });
        assert_eq!(code(packages(), "no repository of this host offers `kubelet 1`", &[]), "MK1402");
        assert_eq!(
            code(packages(), "could not install a", &["E: Could not get lock /var/lib/dpkg"]),
            "MK1403"
        );
        assert_eq!(code(packages(), "could not install a", &["apt-get ended with 100"]), "MK1401");
        let module = KernelModule { name: "x".into(), file: "/x".into(), optional: false };
        assert_eq!(code(State::KernelModule(module), "could not load it", &[]), "MK1501");
    }
}
