//! `mount`, `loop_device`, `sysctl`, `kmod`, `host`: settings of the system.

use std::net::IpAddr;

use metalk8s_diagnostics::explain;
use metalk8s_engine::{
    State,
    state::{HostsEntry, KernelModule, LoopDevice, Mount, Removed, Sysctl},
};

use super::Function;
use crate::args::Args;

/// `mkmnt` is accepted and needs nothing: the mount point is always made. Salt has no states of loop devices.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "mount",
        name: "mounted",
        does: "mounts a file system, and keeps it in /etc/fstab",
        arguments: &["device", "fstype", "opts", "persist", "mkmnt"],
        build: mounted,
    },
    Function {
        module: "mount",
        name: "unmounted",
        does: "unmounts a file system, and forgets it in /etc/fstab where `persist` says so",
        arguments: &["persist"],
        build: unmounted,
    },
    Function {
        module: "loop_device",
        name: "attached",
        does: "makes a file a block device until the next boot; a missing one is made, sparse, with this size",
        arguments: &["size"],
        build: attached,
    },
    Function {
        module: "loop_device",
        name: "detached",
        does: "takes a file from its loop devices; the file stays",
        arguments: &[],
        build: detached,
    },
    Function {
        module: "sysctl",
        name: "present",
        does: "sets a kernel parameter, now and at boot",
        arguments: &["value", "config"],
        build: sysctl,
    },
    Function {
        module: "kmod",
        name: "present",
        does: "loads a kernel module, now and at boot",
        arguments: &["persist"],
        build: kmod,
    },
    Function {
        module: "host",
        name: "present",
        does: "gives an address a name in /etc/hosts",
        arguments: &["ip"],
        build: host,
    },
    Function {
        module: "host",
        name: "absent",
        does: "removes a name from /etc/hosts, beside one address or beside any",
        arguments: &["ip"],
        build: no_host,
    },
];

fn mounted(args: &mut Args<'_>) -> Option<State> {
    args.boolean("mkmnt");
    let target = args.name_as_path();
    let (device, fs_type) = (args.required_text("device"), args.required_text("fstype"));
    let options = args.texts("opts").unwrap_or_else(|| vec!["defaults".to_owned()]);
    let options =
        options.iter().flat_map(|list| list.split(',')).map(|option| option.trim().to_owned()).collect();
    let persistent = args.boolean("persist").unwrap_or(true);
    Some(State::Mount(Mount {
        source: device?.into(),
        target: target?,
        fs_type: fs_type?,
        options,
        persistent,
        holds: None,
    }))
}

fn attached(args: &mut Args<'_>) -> Option<State> {
    let (file, size) = (args.name_as_path(), args.bytes("size"));
    Some(State::LoopDevice(LoopDevice { file: file?, size }))
}

fn detached(args: &mut Args<'_>) -> Option<State> {
    Some(State::Removed(Removed::LoopDevice { file: args.name_as_path()? }))
}

fn sysctl(args: &mut Args<'_>) -> Option<State> {
    let value = args.required_text("value");
    let file = args.path("config").unwrap_or_else(|| "/etc/sysctl.d/99-salt.conf".into());
    Some(State::Sysctl(Sysctl { key: args.chunk.name.clone(), value: value?, file, may_be_read_only: false }))
}

/// A module is always kept over a boot.
fn kmod(args: &mut Args<'_>) -> Option<State> {
    let name = &args.chunk.name;
    let file = format!("/etc/modules-load.d/{name}.conf");
    if let (Some(false), Some(node)) = (args.boolean("persist"), args.node("persist")) {
        let message = "a module that is forgotten at the next boot is not supported";
        args.wrong(explain::SLS_BAD_VALUE, "persist", node, message, "`True`");
    }
    Some(State::KernelModule(KernelModule { name: name.clone(), file: file.into(), optional: false }))
}

fn host(args: &mut Args<'_>) -> Option<State> {
    args.required_text("ip")?;
    Some(State::HostsEntry(HostsEntry { address: address(args)?, names: vec![args.chunk.name.clone()] }))
}

fn no_host(args: &mut Args<'_>) -> Option<State> {
    let address = address(args);
    Some(State::Removed(Removed::HostsName { address, name: args.chunk.name.clone() }))
}

fn address(args: &mut Args<'_>) -> Option<IpAddr> {
    let node = args.node("ip")?;
    let address = args.text("ip")?.parse().ok();
    if address.is_none() {
        let accepted = "an address such as `10.0.0.1`";
        args.wrong(explain::SLS_BAD_VALUE, "ip", node, "this is no address", accepted);
    }
    address
}

/// As in Salt, the line of /etc/fstab stays unless `persist` is true.
fn unmounted(args: &mut Args<'_>) -> Option<State> {
    let forget = args.boolean("persist").unwrap_or(false);
    Some(State::Removed(Removed::Mount { target: args.name_as_path()?, forget }))
}
