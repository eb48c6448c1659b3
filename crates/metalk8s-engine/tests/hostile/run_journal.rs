//! Read: as many records as whole lines, the torn end can be cut off, written again it is the same, and a run
//! that goes on can be appended. Refused: the line exists. Shared with the fuzz target `run_journal`.

use metalk8s_engine::journal::{Journal, JournalError, Record, SCHEMA};

pub(crate) fn check(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    match Journal::parse(bytes) {
        Ok(journal) => check_journal(bytes, &journal),
        Err(JournalError::Damaged { line, .. }) => assert!((1..=lines).contains(&line), "{line} of {lines}"),
        Err(JournalError::Newer { found }) => assert!(found > SCHEMA),
        Err(JournalError::NoRun) => assert!(lines > 0),
        // A damaged line counts as torn where it is the last.
        Err(JournalError::Empty) => assert!(lines <= 1),
    }
}

fn check_journal(bytes: &[u8], journal: &Journal) {
    let whole = &bytes[..journal.valid_bytes];
    assert!(whole.ends_with(b"\n"));
    assert_eq!(journal.records.len(), whole.split_inclusive(|byte| *byte == b'\n').count());
    assert_eq!(Journal::parse(whole).expect("its whole lines are a journal"), *journal);

    let text: String = journal.records.iter().map(Record::to_line).collect();
    let rewritten = Journal::parse(text.as_bytes()).expect("what is written is read");
    assert_eq!(rewritten.valid_bytes, text.len());
    assert_eq!(Journal { valid_bytes: journal.valid_bytes, ..rewritten }, *journal);

    let resumed =
        Record::Resumed { version: "0.1.0".to_owned(), at: "2026-11-20T22:51:19Z".parse().expect("a time") };
    let appended = [whole, resumed.to_line().as_bytes()].concat();
    let appended = Journal::parse(&appended).expect("a record can be appended");
    assert_eq!(appended.records.split_last(), Some((&resumed, &*journal.records)));

    assert!(
        journal.run.as_str().len() == 20 && journal.run.as_str().bytes().all(|byte| byte.is_ascii_digit())
    );
    let done = journal.done();
    let next = journal.steps.iter().map(String::as_str).find(|step| !done.contains(step));
    assert_eq!(journal.next_step(), next);
    let changing = |id: &str| {
        journal.records.iter().any(|record| match record {
            Record::Changing { state, .. } => state.as_str() == id,
            _ => false,
        })
    };
    assert!(journal.unsettled().iter().all(|id| changing(id.as_str())));
}
