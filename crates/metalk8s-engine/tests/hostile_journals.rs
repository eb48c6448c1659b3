//! Whatever a crash or a stranger left in a journal: it is read as far as it is whole, or refused.

use metalk8s_engine::journal::{Journal, Record, RunId, SCHEMA};
use proptest::prelude::*;

fn good() -> Vec<u8> {
    let at = "2026-11-20T22:51:19.123456Z".parse().expect("a time");
    let step = |number: usize| format!("step {number}");
    let run = Record::Run {
        schema: SCHEMA,
        run: RunId::at(at),
        name: "bootstrap".to_owned(),
        version: "0.1.0".to_owned(),
        steps: (0..3).map(step).collect(),
        at,
    };
    let steps = (0..3).flat_map(|number| {
        let finished =
            Record::StepFinished { step: step(number), done: true, changes: 1, error: Vec::new(), at };
        [Record::StepStarted { step: step(number), at }, finished]
    });
    std::iter::once(run).chain(steps).flat_map(|record| record.to_line().into_bytes()).collect()
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(journal) = Journal::parse(bytes) {
        prop_assert!(journal.valid_bytes <= bytes.len());
        // What is kept when the torn end is cut off reads as the same journal.
        let again = Journal::parse(&bytes[..journal.valid_bytes]);
        prop_assert_eq!(again.ok(), Some(journal));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes)?;
    }

    #[test]
    fn a_damaged_journal_is_read_as_far_as_it_is_whole(at in 0..800_usize, byte in any::<u8>(), cut in 0..900_usize) {
        let mut bytes = good();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(cut);
        check(&bytes)?;
    }
}
