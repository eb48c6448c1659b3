//! Journals as runs leave them.

use jiff::tz::TimeZone;
use metalk8s_diagnostics::Paint;

use super::*;
use crate::lock::lock;

/// Journals and the lock in a temporary folder.
struct Place(tempfile::TempDir);

/// A line of a journal, so many seconds after the run began.
fn line(at: u64, record: &str) -> String {
    format!("{{{record},\"at\":\"2026-01-12T07:11:{at:02}Z\"}}\n")
}

fn begun(id: &str, name: &str) -> String {
    let record = format!(
        "\"record\":\"run\",\"schema\":1,\"run\":\"{id}\",\"name\":\"{name}\",\"version\":\"0.1.0\",\
         \"steps\":[\"archives\",\"packages\",\"node\"]"
    );
    line(0, &record)
}

fn started(at: u64, step: &str) -> String {
    line(at, &format!("\"record\":\"step_started\",\"step\":\"{step}\""))
}

fn changing(at: u64, state: &str) -> String {
    line(at, &format!("\"record\":\"changing\",\"state\":\"{state}\",\"summary\":\"x\""))
}

fn finished(at: u64, step: &str, changes: usize) -> String {
    line(at, &format!("\"record\":\"step_finished\",\"step\":\"{step}\",\"done\":true,\"changes\":{changes}"))
}

fn failed(at: u64, step: &str) -> String {
    let error = r#"["state `kubelet` (Package kubelet): could not install","  cause: apt found nothing"]"#;
    let record = format!(
        "\"record\":\"step_finished\",\"step\":\"{step}\",\"done\":false,\"changes\":1,\"error\":{error}"
    );
    line(at, &record)
}

const ENDED: &str = "\"record\":\"run_finished\",\"done\":true";
const RESUMED: &str = "\"record\":\"resumed\",\"version\":\"0.1.0\"";

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn lock(&self) -> PathBuf {
        self.0.path().join("lock")
    }

    fn journal(&self, id: &str, name: &str, lines: &[String]) {
        let text = begun(id, name) + &lines.concat();
        fs::write(self.0.path().join(format!("{id}.jsonl")), text).unwrap();
    }

    fn list(&self) -> Vec<Run> {
        list(self.0.path(), &self.lock()).unwrap()
    }

    fn states(&self) -> Vec<RunState> {
        self.list().iter().map(|run| run.state).collect()
    }
}

const ONE: &str = "20260112071100000000";
const TWO: &str = "20260112071200000000";

#[test]
fn steps_have_their_durations_and_changes() {
    let place = Place::new();
    let lines = [
        started(1, "archives"),
        changing(1, "a"),
        finished(3, "archives", 1),
        started(3, "packages"),
        finished(4, "packages", 0),
        started(4, "node"),
        finished(6, "node", 2),
        line(6, ENDED),
    ];
    place.journal(ONE, "bootstrap", &lines);
    let run = place.list().remove(0);
    assert_eq!((run.state, run.resumed, run.failure.len()), (RunState::Finished, 0, 0));
    let steps: Vec<_> = run.steps.iter().map(|step| (step.state, step.seconds, step.changed)).collect();
    let done = StepState::Done;
    assert_eq!(steps, [(done, 2.0, 1), (done, 1.0, 0), (done, 2.0, 2)]);
}

#[test]
fn a_run_that_failed_tells_what_and_why() {
    let place = Place::new();
    place.journal(ONE, "bootstrap", &[started(1, "archives"), failed(4, "archives")]);
    insta::assert_snapshot!(show_text(&place.list()[0], &TimeZone::UTC, Paint::default()), @r"
    run       20260112071100000000
    what      bootstrap, version 0.1.0
    state     failed
    began     2026-01-12 07:11:00
    ended     2026-01-12 07:11:04

    STEP      STATE    SECONDS  CHANGED
    archives  failed   3.0      1
    packages  waiting  -        -
    node      waiting  -        -

    last failure
      state `kubelet` (Package kubelet): could not install
        cause: apt found nothing
    ");
}

#[test]
fn a_run_that_was_gone_on_with_and_ended_has_no_failure_left() {
    let place = Place::new();
    let lines = [
        started(1, "archives"),
        failed(4, "archives"),
        line(10, RESUMED),
        started(11, "archives"),
        finished(12, "archives", 2),
    ];
    place.journal(ONE, "bootstrap", &lines);
    let run = place.list().remove(0);
    assert_eq!((run.state, run.resumed), (RunState::Interrupted, 1));
    assert_eq!((run.steps[0].seconds, run.steps[0].changed), (4.0, 3));
    assert!(!run.failure.is_empty(), "it is the last one there was");

    place.journal(ONE, "bootstrap", &[&lines[..], &[line(20, ENDED)]].concat());
    let run = place.list().remove(0);
    assert_eq!((run.state, run.failure.len()), (RunState::Finished, 0));
}

#[test]
fn a_run_without_an_end_is_interrupted_unless_it_has_the_lock() {
    let place = Place::new();
    let lines = [started(1, "archives"), changing(2, "a"), changing(5, "b")];
    place.journal(ONE, "bootstrap", &lines);
    place.journal(TWO, "archives", &lines);
    assert_eq!(place.states(), [RunState::Interrupted, RunState::Interrupted]);
    let step = place.list()[0].steps[0].clone();
    assert_eq!((step.state, step.seconds, step.changed), (StepState::Interrupted, 4.0, 2));

    let held = lock(&place.lock(), "bootstrap").unwrap();
    assert_eq!(place.states(), [RunState::Running, RunState::Interrupted]);
    assert_eq!(place.list()[0].steps[0].state, StepState::Running);
    drop(held);
    assert_eq!(place.states(), [RunState::Interrupted, RunState::Interrupted]);
}

#[test]
fn a_run_that_failed_does_not_run_because_another_holds_the_lock() {
    let place = Place::new();
    place.journal(ONE, "archives", &[started(1, "archives"), failed(4, "archives")]);
    let _held = lock(&place.lock(), "archives").unwrap();
    assert_eq!(place.states(), [RunState::Failed]);
}

#[test]
fn a_journal_that_cannot_be_read_is_listed_with_the_others() {
    let place = Place::new();
    place.journal(ONE, "bootstrap", &[line(6, ENDED)]);
    fs::write(place.0.path().join(format!("{TWO}.jsonl")), "{\"x\":1}\n{}\n").unwrap();
    fs::write(place.0.path().join("note.txt"), "not ours").unwrap();
    insta::assert_snapshot!(list_text(&place.list(), &TimeZone::UTC, Paint::default()), @r"
    RUN                   WHAT       BEGAN                ENDED                STATE       CHANGED
    20260112071100000000  bootstrap  2026-01-12 07:11:00  2026-01-12 07:11:06  finished    0
    20260112071200000000  -          -                    -                    unreadable  0
    ");
    assert!(list_text(&place.list(), &TimeZone::UTC, Paint::new(true)).contains("\u{1b}[32mfinished"));
}

#[test]
fn the_newest_is_shown_where_none_is_named() {
    let place = Place::new();
    let show =
        |run: Option<&str>| show(place.0.path(), &place.lock(), run.map(|id| id.parse().unwrap()).as_ref());
    assert!(matches!(show(None), Err(RunsError::None)));
    place.journal(ONE, "bootstrap", &[]);
    place.journal(TWO, "archives", &[]);
    assert_eq!(show(None).unwrap().what, "archives");
    assert_eq!(show(Some(ONE)).unwrap().what, "bootstrap");
    assert!(matches!(show(Some("20260112071300000000")), Err(RunsError::Unknown(_))));
    let away = place.0.path().join("away");
    assert_eq!(list(&away, &place.lock()).unwrap(), []);
}
