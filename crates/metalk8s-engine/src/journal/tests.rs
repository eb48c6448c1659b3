use jiff::Timestamp;

use super::{Journal, JournalError, Record, RunId};
use crate::{Graph, State, StateId, state::Swap};

fn at() -> Timestamp {
    "2026-11-20T22:51:19.123456Z".parse().unwrap()
}

fn id(name: &str) -> StateId {
    Graph::default().add(name, State::Swap(Swap { enabled: false }))
}

fn begin() -> Record {
    Record::Run {
        schema: 1,
        run: RunId::at(at()),
        name: "bootstrap".to_owned(),
        version: "0.1.0".to_owned(),
        steps: vec!["packages".to_owned(), "containerd".to_owned()],
        at: at(),
    }
}

fn changing(name: &str) -> Record {
    Record::Changing { state: id(name), summary: format!("write {name}"), at: at() }
}

fn started(step: &str) -> Record {
    Record::StepStarted { step: step.to_owned(), at: at() }
}

fn finished(step: &str, done: bool) -> Record {
    Record::StepFinished { step: step.to_owned(), done, changes: 1, error: Vec::new(), at: at() }
}

fn file(records: &[Record]) -> String {
    records.iter().map(Record::to_line).collect()
}

fn unsettled(records: &[Record]) -> Vec<String> {
    let journal = Journal::parse(file(records).as_bytes()).unwrap();
    journal.unsettled().iter().map(ToString::to_string).collect()
}

#[test]
fn a_run_is_named_by_its_moment_as_salt_names_jobs() {
    assert_eq!(RunId::at(at()).as_str(), "20261120225119123456");
    assert_eq!("20261120225119123456".parse(), Ok(RunId::at(at())));
    assert!("2026112022511912345x".parse::<RunId>().is_err());
    assert!(serde_json::from_str::<RunId>("\"../../etc/passwd\"").is_err());
}

#[test]
fn a_journal_tells_where_to_go_on() {
    let text = file(&[begin(), started("packages"), finished("packages", true), started("containerd")]);
    let journal = Journal::parse(text.as_bytes()).unwrap();
    assert_eq!(journal.next_step(), Some("containerd"));
    assert!(!journal.is_done());
    assert_eq!(journal.valid_bytes, text.len());
    let text = text + &file(&[finished("containerd", true), Record::RunFinished { done: true, at: at() }]);
    let journal = Journal::parse(text.as_bytes()).unwrap();
    assert_eq!((journal.next_step(), journal.is_done()), (None, true));
}

#[test]
fn a_journal_cut_anywhere_keeps_its_whole_lines() {
    let records = [begin(), started("packages"), changing("hosts"), finished("packages", true)];
    let text = file(&records);
    for cut in 0..=text.len() {
        let bytes = &text.as_bytes()[..cut];
        let whole = bytes.iter().filter(|byte| **byte == b'\n').count();
        match Journal::parse(bytes) {
            Ok(journal) => {
                assert_eq!(journal.records, records[..whole]);
                assert_eq!(journal.valid_bytes, file(&records[..whole]).len());
            }
            Err(JournalError::Empty) => assert_eq!(whole, 0),
            Err(err) => panic!("cut at {cut}: {err}"),
        }
    }
}

#[test]
fn a_last_line_of_zeroes_counts_as_torn() {
    // Some file systems leave zeroes where data was not written before a crash.
    let text = file(&[begin(), started("packages")]) + "\0\0\0\n";
    assert_eq!(Journal::parse(text.as_bytes()).unwrap().records.len(), 2);
}

#[test]
fn damage_in_the_middle_is_named_by_its_line() {
    let text = file(&[begin()]) + "garbage\n" + &file(&[started("packages")]);
    let error = Journal::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "line 2 of the journal is damaged");
    assert!(matches!(Journal::parse(file(&[started("packages")]).as_bytes()), Err(JournalError::NoRun)));
}

#[test]
fn a_newer_journal_is_refused_by_its_version() {
    let error = Journal::parse(b"{\"record\":\"run\",\"schema\":7,\"unknown\":1}\n").unwrap_err();
    assert_eq!(error.to_string(), "the journal has version 7, and this program reads up to 1");
}

#[test]
fn changes_of_a_step_that_is_not_done_are_unsettled() {
    assert_eq!(unsettled(&[begin(), started("packages"), changing("a")]), ["a"]);
    assert_eq!(
        unsettled(&[begin(), started("packages"), changing("a"), finished("packages", true)]),
        [""; 0]
    );
    let failed = [begin(), started("packages"), changing("a"), finished("packages", false)];
    assert_eq!(unsettled(&failed), ["a"]);
    let resumed = Record::Resumed { version: "0.1.0".to_owned(), at: at() };
    let again = [&failed[..], &[resumed, started("packages"), changing("b")]].concat();
    assert_eq!(unsettled(&again), ["a", "b"]);
    let settled = [&again[..], &[finished("packages", true)]].concat();
    assert_eq!(unsettled(&settled), [""; 0]);
}
