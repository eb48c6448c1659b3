//! `user`, `group`: accounts.

use metalk8s_engine::{
    State,
    state::{Group, User},
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
    Function { module: "group", name: "present", does: "makes a group", arguments: &["gid"], build: group },
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
