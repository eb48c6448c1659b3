//! Listening processes (LSN-01, LSN-02; constants.md, section 1).

use std::{collections::BTreeSet, net::Ipv4Addr};

use anyhow::{Result, ensure};
use metalk8s_types::Role;

use crate::{Machine, SOON, wait_until};

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Everywhere,
    ControlPlane,
    Loopback,
    Elsewhere(String),
}

/// Everything that listens on a node: port, where, the name of the program, and the role that brings it.
///
/// The documented table without what belongs to parts that this release does not have yet. It has kube-proxy on
/// all addresses; LSN-02 wants nothing there that asks for no login.
const DOCUMENTED: [(u16, On, &str, Option<Role>); 18] = [
    (22, On::Everywhere, "sshd", None),
    (2379, On::ControlPlane, "etcd", Some(Role::Etcd)),
    (2379, On::Loopback, "etcd", Some(Role::Etcd)),
    (2380, On::ControlPlane, "etcd", Some(Role::Etcd)),
    (2381, On::Loopback, "etcd", Some(Role::Etcd)),
    (4507, On::ControlPlane, "metalk8s", Some(Role::Bootstrap)),
    (6443, On::ControlPlane, "kube-apiserver", Some(Role::Master)),
    (7080, On::Loopback, "metalk8s", None),
    (7443, On::Loopback, "metalk8s", None),
    (8080, On::ControlPlane, "metalk8s", Some(Role::Bootstrap)),
    (9099, On::Loopback, "calico-node", None),
    (10248, On::Loopback, "kubelet", None),
    (10249, On::Loopback, "kube-proxy", None),
    (10250, On::ControlPlane, "kubelet", None),
    (10256, On::Loopback, "kube-proxy", None),
    (10257, On::ControlPlane, "kube-controller", Some(Role::Master)),
    (10259, On::ControlPlane, "kube-scheduler", Some(Role::Master)),
    // containerd's server for the streams of `kubectl exec` chooses a port by itself.
    (ANY, On::Loopback, "containerd", None),
];
/// A port that the program chooses.
const ANY: u16 = 0;

/// Checks that a node of these roles listens on all of the table that is theirs, and on nothing else. What has only just
/// been started may listen a little later.
pub(super) fn as_documented(machine: &Machine, roles: &[Role]) -> Result<()> {
    let documented = DOCUMENTED.iter().filter(|(.., role)| role.is_none_or(|role| roles.contains(&role)));
    let documented: Vec<_> = documented.collect();
    let unexpected = wait_until(&format!("the processes of {}", machine.name), SOON, || {
        let text = machine.run_checked("ss --no-header --listening --tcp --numeric --processes");
        let text = text.map_err(|error| error.to_string())?;
        let found: BTreeSet<_> = text.lines().filter_map(|line| parse(line, machine.control)).collect();
        let unexpected = unexpected(&found, &documented);
        if !unexpected.is_empty() {
            return Ok(Some(format!("{}; `ss` says:\n{text}", unexpected.join("; "))));
        }
        let missing = missing(&found, &documented);
        if missing.is_empty() { Ok(None) } else { Err(format!("{}; `ss` says:\n{text}", missing.join("; "))) }
    })?;
    ensure!(unexpected.is_none(), "on {}: {}", machine.name, unexpected.unwrap_or_default());
    Ok(())
}

type Listener = (u16, On, String);
type Documented<'a> = [&'a (u16, On, &'a str, Option<Role>)];

fn unexpected(found: &BTreeSet<Listener>, documented: &Documented<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for (port, on, process) in found {
        let known = documented
            .iter()
            .any(|(known, place, name, _)| [*port, ANY].contains(known) && place == on && name == process);
        if !known {
            problems.push(format!("{process} listens on port {port} {on:?}"));
        }
    }
    problems
}

fn missing(found: &BTreeSet<Listener>, documented: &Documented<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for (port, place, name, _) in documented.iter().filter(|(port, ..)| *port != ANY) {
        if !found.iter().any(|(found, on, process)| found == port && on == place && process == name) {
            problems.push(format!("{name} does not listen on port {port} {place:?}"));
        }
    }
    problems
}

/// Port, place and program of a line of `ss`.
fn parse(line: &str, control_plane: Ipv4Addr) -> Option<(u16, On, String)> {
    let mut words = line.split_whitespace().skip(3);
    let (address, port) = words.next()?.rsplit_once(':')?;
    let process = words.nth(1)?.split('"').nth(1)?.to_owned();
    let address = address.trim_matches(['[', ']']);
    let place = match address {
        "*" | "0.0.0.0" | "::" => On::Everywhere,
        "127.0.0.1" | "::1" => On::Loopback,
        own if own == control_plane.to_string() => On::ControlPlane,
        other => On::Elsewhere(other.to_owned()),
    };
    Some((port.parse().ok()?, place, process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_and_what_is_missing_is_told() {
        let documented = [&DOCUMENTED[0], &DOCUMENTED[10]];
        let found = |listening: &[(u16, On, &str)]| {
            let of = |(port, on, name): &(u16, On, &str)| (*port, on.clone(), (*name).to_owned());
            let listening = listening.iter().map(of).collect();
            [unexpected(&listening, &documented), missing(&listening, &documented)].concat()
        };
        let (ssh, felix) = ((22, On::Everywhere, "sshd"), (9099, On::Loopback, "calico-node"));
        assert!(found(&[ssh.clone(), felix]).is_empty());
        assert_eq!(
            found(&[ssh, (9099, On::Everywhere, "calico-node")]),
            [
                "calico-node listens on port 9099 Everywhere",
                "calico-node does not listen on port 9099 Loopback"
            ]
        );
    }

    #[test]
    fn a_line_tells_port_place_and_program() {
        let parse = |line| parse(line, [198, 18, 7, 10].into());
        let is = |port, on, name: &str| Some((port, on, name.to_owned()));
        for (line, expected) in [
            (
                "LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:* users:((\"kubelet\",pid=586,fd=17))",
                is(10248, On::Loopback, "kubelet"),
            ),
            (
                "LISTEN 0 128 198.18.7.10:8080 0.0.0.0:* users:((\"metalk8s\",pid=1,fd=9))",
                is(8080, On::ControlPlane, "metalk8s"),
            ),
            ("LISTEN 0 128 [::]:22 [::]:* users:((\"sshd\",pid=130,fd=4))", is(22, On::Everywhere, "sshd")),
            (
                "LISTEN 0 1 *:10249 *:* users:((\"kube-proxy\",pid=1,fd=1))",
                is(10249, On::Everywhere, "kube-proxy"),
            ),
            (
                "LISTEN 0 1 10.0.0.1:1 *:* users:((\"x\",pid=1,fd=1))",
                is(1, On::Elsewhere("10.0.0.1".to_owned()), "x"),
            ),
            ("LISTEN", None),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
