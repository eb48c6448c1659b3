//! `service`: units of systemd.

use metalk8s_engine::{State, state::Service};

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
pub(crate) fn unit_name(name: &str) -> String {
    const KINDS: [&str; 7] = [".service", ".socket", ".timer", ".mount", ".target", ".path", ".slice"];
    if KINDS.iter().any(|kind| name.ends_with(kind)) { name.to_owned() } else { format!("{name}.service") }
}

fn unit(args: &Args<'_>) -> String {
    unit_name(&args.chunk.name)
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

/// Whether it runs is left alone.
fn enabled(args: &mut Args<'_>) -> Option<State> {
    Some(State::Service(Service { running: None, ..Service::running(unit(args)) }))
}

fn disabled(args: &mut Args<'_>) -> Option<State> {
    Some(State::Service(Service { running: None, ..Service::stopped(unit(args)) }))
}
