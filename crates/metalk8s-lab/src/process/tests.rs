use std::{process::Command, time::Duration};

use super::{RunError, Source, capture, stream};

const PATIENT: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn both_outputs_and_the_code_are_collected() {
    let output = capture(&mut shell("echo one; echo two >&2; exit 3"), None, PATIENT).unwrap();
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "one\n", "two\n"));
}

#[test]
fn input_reaches_the_program() {
    let output = capture(&mut shell("cat"), Some(b"hello".to_vec()), PATIENT).unwrap();
    assert_eq!(output.stdout, "hello");
}

#[test]
fn a_program_ended_by_a_signal_has_a_code_above_128() {
    let output = capture(&mut shell("kill -9 $$"), None, PATIENT).unwrap();
    assert_eq!(output.code, 137);
}

#[test]
fn a_program_that_takes_too_long_is_ended_and_named() {
    let error = capture(Command::new("sleep").arg("600"), None, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, RunError::Deadline { shown, .. } if shown == "sleep 600"));
}

#[test]
fn a_program_that_never_stops_talking_is_ended_too() {
    let error = capture(&mut Command::new("yes"), None, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, RunError::Deadline { shown, .. } if shown == "yes"));
}

#[test]
fn a_child_left_behind_does_not_hold_the_caller() {
    let mut child = None;
    let output = stream(&mut shell("sleep 600 & echo $!"), None, PATIENT, &mut |_, line| {
        child = Some(line.to_owned());
    });
    let ended = Command::new("kill").arg(child.unwrap()).status();
    assert!(ended.unwrap().success(), "the child was still there");
    assert_eq!(output.unwrap().code, 0);
}

#[test]
fn all_that_was_said_is_there_also_where_a_child_is_left_behind() {
    let output = capture(&mut shell("sleep 600 & echo $!; seq 200000"), None, PATIENT).unwrap();
    let (child, rest) = output.stdout.split_once('\n').unwrap();
    assert!(Command::new("kill").arg(child).status().unwrap().success(), "the child was still there");
    assert_eq!(rest.lines().count(), 200_000);
    assert_eq!(rest.lines().last(), Some("200000"));
}

#[test]
fn lines_are_handed_over_without_their_end() {
    let mut seen = Vec::new();
    stream(&mut shell("printf 'a\\nb'"), None, PATIENT, &mut |source, line| {
        seen.push((source, line.to_owned()))
    })
    .unwrap();
    assert_eq!(seen, [(Source::Stdout, "a".to_owned()), (Source::Stdout, "b".to_owned())]);
}

#[test]
fn a_missing_program_is_named() {
    let error = capture(&mut Command::new("no-such-program-here"), None, PATIENT).unwrap_err();
    assert_eq!(error.to_string(), "could not start `no-such-program-here`");
}
