//! `service`: units of systemd.

use std::collections::BTreeMap;

use metalk8s_engine::{
    State,
    state::{Command, Service},
};

use super::Function;
use crate::args::Args;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "service",
        name: "running",
        does: "starts a unit; restarts or reloads it when a watched state changed",
        arguments: &["enable", "reload"],
        build: running,
    },
    Function { module: "service", name: "dead", does: "stops a unit", arguments: &["enable"], build: dead },
    Function {
        module: "service",
        name: "enabled",
        does: "lets a unit start at boot",
        arguments: &[],
        build: enabled,
    },
    Function {
        module: "service",
        name: "disabled",
        does: "keeps a unit from starting at boot",
        arguments: &[],
        build: disabled,
    },
    Function {
        module: "service",
        name: "masked",
        does: "keeps a unit from being started at all",
        arguments: &[],
        build: masked,
    },
];

/// systemctl takes a name without its kind for a service.
fn unit(args: &Args<'_>) -> String {
    const KINDS: [&str; 7] = [".service", ".socket", ".timer", ".mount", ".target", ".path", ".slice"];
    let name = &args.chunk.name;
    if KINDS.iter().any(|kind| name.ends_with(kind)) { name.clone() } else { format!("{name}.service") }
}

fn running(args: &mut Args<'_>) -> Option<State> {
    let enabled = args.boolean("enable");
    let reload = args.boolean("reload").unwrap_or(false);
    Some(State::Service(Service { enabled, reload, ..Service::running(unit(args)) }))
}

fn dead(args: &mut Args<'_>) -> Option<State> {
    let enabled = args.boolean("enable");
    Some(State::Service(Service { enabled, ..Service::stopped(unit(args)) }))
}

fn masked(args: &mut Args<'_>) -> Option<State> {
    Some(State::Service(Service { enabled: None, masked: true, ..Service::stopped(unit(args)) }))
}

/// Whether it runs is left alone, which a wish for a service cannot say.
fn enabled(args: &mut Args<'_>) -> Option<State> {
    let is_enabled = systemctl(&["is-enabled", "--quiet", &unit(args)]);
    Some(State::Command(Command { unless: Some(is_enabled), ..command(systemctl(&["enable", &unit(args)])) }))
}

fn disabled(args: &mut Args<'_>) -> Option<State> {
    let is_enabled = systemctl(&["is-enabled", "--quiet", &unit(args)]);
    Some(State::Command(Command {
        only_if: Some(is_enabled),
        ..command(systemctl(&["disable", &unit(args)]))
    }))
}

fn systemctl(words: &[&str]) -> Vec<String> {
    ["systemctl"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn command(argv: Vec<String>) -> Command {
    Command {
        argv,
        creates: None,
        unless: None,
        only_if: None,
        only_on_change: false,
        environment: BTreeMap::new(),
        directory: None,
        timeout_seconds: 60,
    }
}
