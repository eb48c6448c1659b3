use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use metalk8s_diagnostics::{Diagnose as _, explain};
use metalk8s_ssh::{Command, End, Options, RunError, Session};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};

use crate::{LONG, server::Machine, shell, told};

const PASSES: &str =
    r#"[ "$1" = -n ] && [ "$2" = -- ] || exit 9; shift 2; echo 'sudo: a warning' >&2; exec "$@""#;

/// A machine whose commands go through this `sudo`.
async fn with_sudo(script: Option<&str>) -> (Machine, Session) {
    let mut machine = Machine::start().await;
    machine.endpoint.user = "admin".to_owned();
    machine.endpoint.sudo = true;
    if let Some(script) = script {
        machine.install("sudo", script);
    }
    let session = machine.session().await;
    (machine, session)
}

#[tokio::test]
async fn a_command_tells_its_outputs_and_its_end() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let ran = session.run(&shell("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(
        (ran.end, ran.stdout.text().as_str(), ran.stderr.text().as_str()),
        (End::Status(3), "out\n", "err\n")
    );
    let ran = session.run(&shell("kill -KILL $$")).await.unwrap();
    assert_eq!(ran.end, End::Signal("KILL".to_owned()));
    let ran = session.run(&Command::new("no such program", LONG)).await.unwrap();
    assert_eq!(ran.end, End::Status(127));
}

#[tokio::test]
async fn a_word_arrives_as_it_is() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let words = ["it's", "$(id)", "`id`", "a\nb", "", "\\", "-n", "*"];
    let printed = Command::new("/bin/sh", LONG).args(["-c", r#"printf '%s|' "$@""#, "sh"]).args(words);
    assert_eq!(session.run(&printed).await.unwrap().stdout.text(), format!("{}|", words.join("|")));
}

#[tokio::test]
async fn a_word_that_would_be_cut_is_refused_here() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let error = session.run(&shell("true").arg("a\0; rm -rf /")).await.unwrap_err();
    assert!(matches!(error, RunError::BadWord { .. }), "{error:?}");
    assert!(machine.lines().is_empty(), "{:?}", machine.lines());
}

#[tokio::test]
async fn input_arrives_whole_and_an_unwanted_one_hinders_nobody() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|at| (at % 251) as u8).collect();
    let ran = session.run(&Command::new("sha256sum", LONG).stdin(bytes.clone())).await.unwrap();
    let expected = hex::encode(Sha256::digest(&bytes));
    assert_eq!(
        ran.stdout.text(),
        format!(
            "{expected}  -
"
        )
    );
    let back = session.run(&Command::new("cat", LONG).stdin(bytes.clone()).keep(bytes.len())).await.unwrap();
    assert!(back.stdout.bytes == bytes);
    let ran = session.run(&shell("exec <&-; exit 4").stdin(bytes)).await.unwrap();
    assert_eq!(ran.end, End::Status(4));
}

#[tokio::test]
async fn output_is_bounded() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let script = "i=0; while [ $i -lt 300 ]; do echo 0123456789; echo 0123456789 >&2; i=$((i + 1)); done";
    let ran = session.run(&shell(script).keep(1000)).await.unwrap();
    for output in [&ran.stdout, &ran.stderr] {
        assert_eq!((output.bytes.len(), output.dropped), (1000, 2300));
        assert!(output.bytes.starts_with(b"0123456789\n0"));
    }
}

#[tokio::test]
async fn lines_are_told_as_they_come_also_those_that_are_not_kept() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let path = machine.path("go");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let go = path.clone();
    // The command waits until its first line has been told.
    let script = "echo one; while [ ! -e \"$1\" ]; do sleep 0.01; done; printf '\\033[1mtwo\\nthree'";
    let command = shell(script).args(["sh", &path]).keep(0).on_line(move |line| {
        told.lock().unwrap().push(line.to_owned());
        std::fs::write(&go, "").unwrap();
    });
    session.run(&command).await.unwrap();
    assert_eq!(*lines.lock().unwrap(), ["one", "[1mtwo", "three"]);
}

#[tokio::test]
async fn a_command_past_its_deadline_ends_with_an_error() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let (begun, ended) = (machine.path("begun"), machine.path("ended"));
    let start = Instant::now();
    let script = "trap ': > \"$2\"; exit 1' TERM; : > \"$1\"; while :; do sleep 0.01; done";
    let command =
        Command::new("/bin/sh", Duration::from_millis(300)).args(["-c", script, "sh", &begun, &ended]);
    let error = session.run(&command).await.unwrap_err();
    assert!(matches!(error, RunError::TimedOut { .. }) && start.elapsed() < LONG / 4, "{error:?}");
    assert!(error.to_string().contains("did not end within 0.3 s"), "{error}");
    assert_eq!(error.code(), Some(explain::SSH_COMMAND_LOST));
    let is_told = || Path::new(&ended).exists() || !Path::new(&begun).exists();
    while !is_told() {
        assert!(start.elapsed() < LONG, "the command was not told to end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(session.run(&shell("exit 0")).await.unwrap().is_success(), "the session is still of use");
}

#[tokio::test]
async fn a_connection_lost_under_a_command_is_an_error_with_its_reason() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let begun = machine.path("begun");
    let command = shell(": > \"$1\"; sleep 100").args(["sh", &begun]);
    let (result, ()) = tokio::join!(session.run(&command), async {
        while !Path::new(&begun).exists() {
            tokio::task::yield_now().await;
        }
        machine.cut("going\x1b[31m down\n").await;
    });
    let error = result.unwrap_err();
    assert!(matches!(error, RunError::Lost { .. }) && error.is_retryable(), "{error:?}");
    assert!(told(&error).ends_with("the machine says: going[31m down"), "{}", told(&error));
    let again = session.run(&shell("true")).await.unwrap_err();
    assert!(matches!(again, RunError::Lost { .. }), "{again:?}");
}

#[tokio::test]
async fn a_machine_that_vanishes_is_noticed() {
    let machine = Machine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut endpoint = machine.endpoint.clone();
    let target = ("127.0.0.1", endpoint.port);
    endpoint.port = listener.local_addr().unwrap().port();
    let between = async {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    };
    let begun = machine.path("begun");
    let options = Options { connect_timeout: LONG, keepalive: Duration::from_millis(200) };
    let using = async {
        let session = Session::connect(&endpoint, None, &options).await.unwrap();
        session.run(&shell(": > \"$1\"; sleep 100").args(["sh", &begun])).await.unwrap_err()
    };
    let here = async {
        while !Path::new(&begun).exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::pin!(between, using);
    tokio::select! {
        () = &mut between => unreachable!("both sides are open"),
        _ = &mut using => unreachable!("the command has not ended"),
        () = here => {}
    }
    // The one in between stops carrying, without a word to either side.
    let start = Instant::now();
    let error = using.await;
    assert!(matches!(error, RunError::Lost { .. }) && start.elapsed() < LONG / 4, "{error:?}");
    assert!(told(&error).ends_with("the machine does not answer any more"), "{}", told(&error));
}

#[tokio::test]
async fn a_silent_command_is_not_taken_for_a_machine_that_vanished() {
    let machine = Machine::start().await;
    let options = Options { connect_timeout: LONG, keepalive: Duration::from_millis(500) };
    let session = Session::connect(&machine.endpoint, None, &options).await.unwrap();
    let ran = session.run(&Command::new("sleep", LONG).arg("2.5")).await.unwrap();
    assert!(ran.is_success());
}

#[tokio::test]
async fn sudo_runs_the_command_and_leaves_no_trace_of_itself() {
    let (machine, session) = with_sudo(Some(PASSES)).await;
    let ran = session.run(&shell("cat; echo err >&2; exit 5").stdin("in")).await.unwrap();
    assert_eq!(
        (ran.end, ran.stdout.text().as_str(), ran.stderr.text().as_str()),
        (End::Status(5), "in", "err\n")
    );
    assert!(machine.lines()[0].contains("'sudo' '-n' '--'"), "{:?}", machine.lines());
    let ran = session.run(&shell("echo 12345 >&2").keep(3)).await.unwrap();
    assert_eq!((ran.stderr.bytes.as_slice(), ran.stderr.dropped), (b"123".as_slice(), 3));
}

#[tokio::test]
async fn a_sudo_that_refuses_is_not_taken_for_the_command() {
    let (_machine, session) = with_sudo(Some("echo 'sudo: a password is required' >&2; exit 1")).await;
    let error = session.run(&shell("exit 0")).await.unwrap_err();
    assert!(matches!(error, RunError::SudoRefused { .. }), "{error:?}");
    assert!(told(&error).ends_with("the machine says: sudo: a password is required"), "{}", told(&error));
    assert_eq!(error.code(), Some(explain::SUDO_REFUSED));
    assert!(error.hints()[0].0.contains("NOPASSWD"));

    let (_machine, session) = with_sudo(Some(PASSES)).await;
    let ran = session.run(&shell("echo 'sudo: a password is required' >&2; exit 1")).await.unwrap();
    assert_eq!(ran.end, End::Status(1), "the command may say so itself");
}

#[tokio::test]
async fn a_machine_without_sudo_is_told() {
    let (_machine, session) = with_sudo(None).await;
    let error = session.run(&shell("exit 0")).await.unwrap_err();
    assert!(matches!(error, RunError::SudoMissing { .. }), "{error:?}");
}
