//! `user`, `group`: accounts.

use metalk8s_diagnostics::{Problem, explain};
use metalk8s_engine::{
    State,
    state::{Group, Removed, User},
};

use super::Function;
use crate::args::Args;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "user",
        name: "present",
        does: "makes a user",
        arguments: &["uid", "gid", "home", "shell"],
        build: user,
    },
    Function {
        module: "user",
        name: "absent",
        does: "removes a user, with its home where `purge` says so",
        arguments: &["purge"],
        build: no_user,
    },
    Function { module: "group", name: "present", does: "makes a group", arguments: &["gid"], build: group },
    Function { module: "group", name: "absent", does: "removes a group", arguments: &[], build: no_group },
];

/// The primary group is named by `gid`, or is the one of the user's own name. The home is not made.
fn user(args: &mut Args<'_>) -> Option<State> {
    let name = args.chunk.name.clone();
    let uid = args.number("uid");
    let group = args.text("gid").unwrap_or_else(|| name.clone());
    let home = args.path("home").unwrap_or_else(|| format!("/home/{name}").into());
    let shell = args.path("shell").unwrap_or_else(|| "/bin/bash".into());
    Some(State::User(User { name, uid, group, home, shell }))
}

fn group(args: &mut Args<'_>) -> Option<State> {
    let gid = args.number("gid");
    Some(State::Group(Group { name: args.chunk.name.clone(), gid }))
}

/// The system's own account is never removed: nobody could log in to mend that.
fn no_user(args: &mut Args<'_>) -> Option<State> {
    let home = args.boolean("purge").unwrap_or(false);
    Some(State::Removed(Removed::User { name: not_root(args)?, home }))
}

fn no_group(args: &mut Args<'_>) -> Option<State> {
    Some(State::Removed(Removed::Group { name: not_root(args)? }))
}

fn not_root(args: &mut Args<'_>) -> Option<String> {
    if args.chunk.name != "root" {
        return Some(args.chunk.name.clone());
    }
    let problem = Problem::new(explain::SLS_BAD_VALUE, "`root` is never removed");
    args.problems.push(args.chunk.at_declaration(problem));
    None
}
