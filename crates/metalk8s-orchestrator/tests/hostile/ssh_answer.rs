//! Read: the command had ended well, and what is told of the answer is short lines, the same after it was written
//! again. Refused: what the machine said is in lines without control characters. Shared with the fuzz target
//! `ssh_answer`.
//!
//! A case is how the command ended, a status or a signal, and after the first end of a line what it said, on both of
//! its outputs.

use std::{error::Error, iter};

use metalk8s_orchestrator::{
    join::{Examined, Prepared},
    ssh::{SshError, answer, returned},
};
use metalk8s_ssh::{End, Output, Ran};
use serde::de::DeserializeOwned;
use serde_json::Value;

const NODE: &str = "node-1";
/// Our own words, and 400 characters of the machine's.
const LONGEST_REFUSAL: usize = 2_000;
/// A finding has three texts of up to 400 characters, and an escape has up to eight.
const LONGEST_FINDING: usize = 12_000;
const MOST_FINDINGS: usize = 100;

pub(crate) fn check(bytes: &[u8]) {
    let end_of_line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (first, rest) = bytes.split_at(end_of_line);
    let status = str::from_utf8(first).ok().and_then(|text| text.parse().ok());
    let end = status.map_or_else(|| End::Signal("KILL".to_owned()), End::Status);
    let said = Output { bytes: rest.to_vec(), dropped: 0 };
    let ran = Ran { end, stdout: said.clone(), stderr: said };
    if let Some(examined) = read::<Examined>(&ran) {
        check_examined(&examined);
    }
    read::<Prepared>(&ran);
    read::<Value>(&ran);
    match returned(&ran, NODE, "test.ping") {
        Ok((_, retcode)) => assert_eq!(retcode == 0, ran.is_success()),
        Err(error) => check_refusal(&error),
    }
}

fn check_examined(examined: &Examined) {
    let (errors, warnings) = examined.told();
    assert!(errors.len() + warnings.len() <= MOST_FINDINGS);
    for line in errors.iter().chain(&warnings) {
        assert!(!line.contains(char::is_control) && line.len() <= LONGEST_FINDING, "{line:?}");
    }
    let written = serde_json::to_vec(examined).expect("what was read can be written");
    let again: Examined = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again.told(), (errors, warnings));
    assert_eq!((again.addresses, &again.hostname), (examined.addresses, &examined.hostname));
}

/// The answer, where there is one.
fn read<T: DeserializeOwned>(ran: &Ran) -> Option<T> {
    match answer(ran, NODE, "metalk8s join examine") {
        Ok(answer) => {
            assert!(ran.is_success());
            Some(answer)
        }
        Err(error) => {
            assert_eq!(ran.is_success(), matches!(error, SshError::Answer { .. }), "{error:?}");
            check_refusal(&error);
            None
        }
    }
}

fn check_refusal(error: &SshError) {
    assert!(matches!(error, SshError::Failed { .. } | SshError::Answer { .. }), "{error:?}");
    let first: &(dyn Error + 'static) = error;
    for line in iter::successors(Some(first), |&error| error.source()).map(ToString::to_string) {
        assert!(!line.contains(char::is_control) && line.len() <= LONGEST_REFUSAL, "{line:?}");
    }
}
