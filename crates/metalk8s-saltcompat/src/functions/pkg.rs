//! `pkg`: packages.

use std::collections::{BTreeMap, BTreeSet};

use metalk8s_engine::{
    State,
    state::{Packages, Removed},
};

use super::Function;
use crate::args::Args;

/// `refresh` is accepted and needs nothing: package lists are read when a package is missing. A hold is
/// always updated, so `update_holds` needs nothing either.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "pkg",
        name: "installed",
        does: "installs packages, in the versions given",
        arguments: &["version", "pkgs", "hold", "update_holds", "refresh"],
        build: installed,
    },
    Function {
        module: "pkg",
        name: "removed",
        does: "removes packages",
        arguments: &["pkgs"],
        build: removed,
    },
    Function {
        module: "pkg",
        name: "purged",
        does: "removes packages with their configuration",
        arguments: &["pkgs"],
        build: purged,
    },
];

fn installed(args: &mut Args<'_>) -> Option<State> {
    args.boolean("update_holds");
    args.boolean("refresh");
    let hold = args.boolean("hold").unwrap_or(false);
    let version = args.text("version");
    let packages: BTreeMap<String, Option<String>> = match args.node("pkgs") {
        Some(_) => args.pairs("pkgs")?.into_iter().collect(),
        None => [(args.chunk.name.clone(), version)].into(),
    };
    Some(State::Packages(Packages { packages, hold, only_from: Vec::new() }))
}

fn removed(args: &mut Args<'_>) -> Option<State> {
    Some(State::Removed(Removed::Packages { names: names(args)?, purge: false, unneeded: false }))
}

fn purged(args: &mut Args<'_>) -> Option<State> {
    Some(State::Removed(Removed::Packages { names: names(args)?, purge: true, unneeded: false }))
}

fn names(args: &mut Args<'_>) -> Option<BTreeSet<String>> {
    match args.node("pkgs") {
        Some(_) => Some(args.texts("pkgs")?.into_iter().collect()),
        None => Some([args.chunk.name.clone()].into()),
    }
}
