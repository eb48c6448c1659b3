//! Programs run when their conditions ask for it.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use metalk8s_engine::{Change, ChangeKind, Ran, StateError, state::Command};

use crate::{Host, doing::Doing, program::Program};

/// How much is kept of each output: it is shown to people and held in memory.
const MOST_KEPT: usize = 1 << 20;

pub(crate) async fn check(host: &Host, wish: &Command) -> Result<Option<Change>, StateError> {
    if wish.only_on_change || !asked_for(host, wish).await? {
        return Ok(None);
    }
    Ok(Some(change(wish)))
}

/// Returns what it said, also where it failed.
pub(crate) async fn apply(host: &Host, wish: &Command) -> Result<Change, StateError> {
    let doing = || format!("could not run `{}`", wish.argv.first().map_or("", String::as_str));
    let program = program(host, wish, &wish.argv)?.keeping(MOST_KEPT);
    let line = program.line().to_owned();
    let output = program.output().await.doing(doing)?;
    let failure = output.failure(&line);
    let status = output.status.code().or(output.status.signal().map(|signal| -signal));
    let ran =
        Ran { pid: output.pid, status: status.unwrap_or(-1), stdout: output.stdout, stderr: output.stderr };
    let change = Change { ran: Some(ran), ..change(wish) };
    match failure {
        None => Ok(change),
        Some(err) => Err(err).doing(doing).map_err(|err| err.having_done(change)),
    }
}

pub(crate) async fn react(host: &Host, wish: &Command) -> Result<Option<Change>, StateError> {
    if !wish.only_on_change || !asked_for(host, wish).await? {
        return Ok(None);
    }
    apply(host, wish).await.map(Some)
}

/// Whether its conditions ask for it. A command without any is asked for each time.
async fn asked_for(host: &Host, wish: &Command) -> Result<bool, StateError> {
    if wish.creates.as_deref().is_some_and(|path| host.exists(path)) {
        return Ok(false);
    }
    if let Some(unless) = &wish.unless
        && succeeds(host, wish, unless).await?
    {
        return Ok(false);
    }
    match &wish.only_if {
        Some(only_if) => succeeds(host, wish, only_if).await,
        None => Ok(true),
    }
}

async fn succeeds(host: &Host, wish: &Command, argv: &[String]) -> Result<bool, StateError> {
    program(host, wish, argv)?.succeeds().await.doing(|| format!("could not ask `{}`", argv.join(" ")))
}

fn program(host: &Host, wish: &Command, argv: &[String]) -> Result<Program, StateError> {
    let [name, args @ ..] = argv else {
        return Err(StateError::new("a command without a program was asked for"));
    };
    let mut program = host.program(name).args(args).deadline(Duration::from_secs(wish.timeout_seconds));
    for (name, value) in &wish.environment {
        program = program.environment(name, value);
    }
    if let Some(directory) = &wish.directory {
        program = program.directory(host.real(directory)?);
    }
    Ok(program)
}

fn change(wish: &Command) -> Change {
    Change::new(ChangeKind::Run, format!("run {}", wish.argv.join(" ")))
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::{Lab, chain};

    fn wish(argv: &[&str]) -> Command {
        Command {
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            creates: None,
            unless: None,
            only_if: None,
            only_on_change: false,
            environment: [("WORD".to_owned(), "hello".to_owned())].into(),
            directory: None,
            timeout_seconds: 10,
        }
    }

    #[tokio::test]
    async fn a_command_runs_until_what_it_makes_is_there() {
        let lab = Lab::new();
        lab.program("maker", r#"echo "$WORD" > "$ROOT/made""#);
        lab.settles(&State::Command(Command { creates: Some("/made".into()), ..wish(&["maker"]) })).await;
        assert_eq!(lab.text("/made"), "hello\n");
    }

    #[tokio::test]
    async fn conditions_decide_and_a_missing_program_is_no_success() {
        let lab = Lab::new();
        lab.program("yes-it-is", "exit 0");
        lab.program("no-it-is-not", "exit 1");
        let argv = |name: &str| Some(vec![name.to_owned()]);
        for (unless, only_if, runs) in [
            (argv("yes-it-is"), None, false),
            (argv("no-it-is-not"), None, true),
            (argv("nonesuch"), None, true),
            (None, argv("yes-it-is"), true),
            (None, argv("no-it-is-not"), false),
            (None, argv("nonesuch"), false),
        ] {
            let command = Command { unless, only_if, ..wish(&["x"]) };
            assert_eq!(check(&lab.host, &command).await.unwrap().is_some(), runs, "{command:?}");
        }
    }

    #[tokio::test]
    async fn a_command_for_changes_runs_only_then() {
        let lab = Lab::new();
        lab.program("x", "");
        let command = Command { only_on_change: true, ..wish(&["x", "now"]) };
        assert_eq!(check(&lab.host, &command).await.unwrap(), None);
        assert_eq!(react(&lab.host, &command).await.unwrap().unwrap().summary, "run x now");
        assert_eq!(lab.calls(), ["x now"]);
        assert_eq!(react(&lab.host, &wish(&["x"])).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_command_said_is_told_also_where_it_failed() {
        let lab = Lab::new();
        lab.program("talker", "echo out; echo err >&2; exit ${1:-0}");
        let ran = apply(&lab.host, &wish(&["talker"])).await.unwrap().ran.unwrap();
        assert_eq!((ran.status, &*ran.stdout, &*ran.stderr), (0, "out\n", "err\n"));
        assert!(ran.pid.is_some_and(|pid| pid > 1), "{ran:?}");
        let err = apply(&lab.host, &wish(&["talker", "3"])).await.unwrap_err();
        assert!(chain(&err).contains("ended with exit status 3: err"), "{}", chain(&err));
        let ran = err.done.unwrap().ran.unwrap();
        assert_eq!((ran.status, &*ran.stdout), (3, "out\n"));
    }

    #[tokio::test]
    async fn the_number_of_a_signal_is_told_as_a_negative_status() {
        let lab = Lab::new();
        lab.program("suicidal", "kill -KILL $$");
        let err = apply(&lab.host, &wish(&["suicidal"])).await.unwrap_err();
        assert_eq!(err.done.unwrap().ran.unwrap().status, -9);
    }

    #[tokio::test]
    async fn a_command_that_says_too_much_is_cut_with_a_note() {
        let lab = Lab::new();
        lab.program("loud", "head -c 3000000 /dev/zero | tr '\\0' x");
        let ran = apply(&lab.host, &wish(&["loud"])).await.unwrap().ran.unwrap();
        assert_eq!(ran.stdout.find('\n'), Some(MOST_KEPT));
        assert!(ran.stdout.ends_with("x\n[cut after 1048576 bytes]"));
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended() {
        let lab = Lab::new();
        lab.program("slow", "sleep 1000");
        let err = apply(&lab.host, &Command { timeout_seconds: 0, ..wish(&["slow"]) }).await.unwrap_err();
        assert!(chain(&err).contains("was ended after 0 s"), "{}", chain(&err));
    }
}
