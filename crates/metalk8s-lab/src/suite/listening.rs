//! Listening processes (LSN-01, LSN-02; constants.md, section 1).

use std::{collections::BTreeSet, net::Ipv4Addr};

use anyhow::{Result, ensure};

use crate::suite::Stage;

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Everywhere,
    ControlPlane,
    Loopback,
    Elsewhere(String),
}

/// Everything that listens on a Bootstrap node: port, where, and the name of the program.
///
/// The documented table without what belongs to parts that this release does not have yet.
const DOCUMENTED: [(u16, On, &str); 18] = [
    (22, On::Everywhere, "sshd"),
    (2379, On::ControlPlane, "etcd"),
    (2379, On::Loopback, "etcd"),
    (2380, On::ControlPlane, "etcd"),
    (2381, On::Loopback, "etcd"),
    (4507, On::ControlPlane, "metalk8s"),
    (6443, On::ControlPlane, "kube-apiserver"),
    (7080, On::Loopback, "metalk8s"),
    (7443, On::Loopback, "metalk8s"),
    (8080, On::ControlPlane, "metalk8s"),
    (9099, On::Loopback, "calico-node"),
    (10248, On::Loopback, "kubelet"),
    (10249, On::Everywhere, "kube-proxy"),
    (10250, On::ControlPlane, "kubelet"),
    (10256, On::Everywhere, "kube-proxy"),
    (10257, On::ControlPlane, "kube-controller"),
    (10259, On::ControlPlane, "kube-scheduler"),
    // containerd's server for the streams of `kubectl exec` chooses a port by itself.
    (0, On::Loopback, "containerd"),
];

pub(super) fn as_documented(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let text = machine.run_checked("ss --no-header --listening --tcp --numeric --processes")?;
    let found: BTreeSet<_> = text.lines().filter_map(|line| parse(line, machine.control)).collect();
    ensure!(found.len() >= DOCUMENTED.len() - 1, "only {} lines can be read in:\n{text}", found.len());
    let mut problems = Vec::new();
    for (port, on, process) in &found {
        let known = DOCUMENTED
            .iter()
            .any(|(known, place, name)| (known == port || *known == 0) && place == on && name == process);
        if !known {
            problems.push(format!("{process} listens on port {port} {on:?}"));
        }
    }
    for (port, place, name) in DOCUMENTED.iter().filter(|(port, ..)| *port != 0) {
        if !found.iter().any(|(found, on, process)| found == port && on == place && process == name) {
            problems.push(format!("{name} does not listen on port {port} {place:?}"));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
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
