//! `test`: states that only pretend, to try requisites.

use metalk8s_engine::{State, state::Trial};

use super::Function;
use crate::args::Args;

const SUCCESS: &str = "Success!";
const FAILURE: &str = "Failure!";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "test",
        name: "nop",
        does: "does nothing, and succeeds",
        arguments: &[],
        build: succeed,
    },
    Function {
        module: "test",
        name: "succeed_without_changes",
        does: "does nothing, and succeeds",
        arguments: &[],
        build: succeed,
    },
    Function {
        module: "test",
        name: "succeed_with_changes",
        does: "does nothing, and pretends that it changed something",
        arguments: &[],
        build: change,
    },
    Function {
        module: "test",
        name: "fail_without_changes",
        does: "does nothing, and fails",
        arguments: &[],
        build: fail,
    },
    Function {
        module: "test",
        name: "fail_with_changes",
        does: "does nothing, pretends that it changed something, and fails",
        arguments: &[],
        build: change_and_fail,
    },
    Function {
        module: "test",
        name: "show_notification",
        does: "shows a text as its comment",
        arguments: &["text"],
        build: show,
    },
];

fn trial(args: &Args<'_>, changes: bool, succeeds: bool, says: String) -> Option<State> {
    Some(State::Trial(Trial { name: args.chunk.name.clone(), changes, succeeds, says }))
}

fn succeed(args: &mut Args<'_>) -> Option<State> {
    trial(args, false, true, SUCCESS.to_owned())
}

fn change(args: &mut Args<'_>) -> Option<State> {
    trial(args, true, true, SUCCESS.to_owned())
}

fn fail(args: &mut Args<'_>) -> Option<State> {
    trial(args, false, false, FAILURE.to_owned())
}

fn change_and_fail(args: &mut Args<'_>) -> Option<State> {
    trial(args, true, false, FAILURE.to_owned())
}

fn show(args: &mut Args<'_>) -> Option<State> {
    let text = args.required_text("text")?;
    trial(args, false, true, text)
}
