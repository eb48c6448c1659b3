//! Hosts that cannot be a Bootstrap node as they are.

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths::BOOTSTRAP_CONFIG;

use super::{
    bare_machine,
    refusal::{Refusal, Untouched},
};
use crate::{
    SOON, install,
    suite::{
        Stage,
        cluster::{bootstrap_sh, said, wait_settled},
    },
    wait_until,
};

/// A firewall that lets in nothing but answers and SSH, and passes on nothing but answers, now and after a boot.
pub(in crate::suite) const STRICT: &str = "\
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iif lo accept
        tcp dport 22 accept
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
    }
}
";
/// Packets of pods that the host passes on.
const FORWARDED: [&str; 2] = ["ip saddr 10.233.0.0/16 accept", "ip daddr 10.233.0.0/16 accept"];
/// What other machines must reach (constants.md, section 1), with the protocol.
const OPENED: [&str; 6] = [
    "tcp dport 2379",
    "tcp dport 2380",
    "udp dport 4789",
    "tcp dport 6443",
    "tcp dport 8080",
    "tcp dport 10250",
];

pub(super) fn strict_firewall(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.write("/etc/nftables.conf", STRICT.as_bytes(), 0o644)?;
    machine.run_checked("nft --file /etc/nftables.conf")?;
    let output = bootstrap_sh(machine, "")?;
    ensure!(output.success(), "{}", said(&output));
    wait_settled(machine)?;
    let kept = machine.run_checked("cat /etc/nftables.d/metalk8s.nft")?;
    let rules = machine.run_checked("nft list table inet filter")?;
    for opening in OPENED.iter().chain(&FORWARDED) {
        for (where_, text) in [("now", &rules), ("at boot", &kept)] {
            ensure!(text.contains(*opening), "`{opening}` is not open {where_}:\n{text}");
        }
    }
    Ok(())
}

pub(super) fn addresses(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let range = stage.lab.networks.control.subnet.to_string();
    // A range for documentation, which nobody has.
    let nowhere = install::configuration(&stage.lab).replace(&range, "203.0.113.0/24");
    machine.write(BOOTSTRAP_CONFIG, nowhere.as_bytes(), 0o644)?;
    Refusal { code: "MK1208", names: &["203.0.113.0/24"] }.of_bootstrap(machine).context("no address")?;

    machine.write(BOOTSTRAP_CONFIG, install::configuration(&stage.lab).as_bytes(), 0o644)?;
    let [a, b, c, _] = machine.control.octets();
    let second = format!("{a}.{b}.{c}.200");
    machine.run_checked(&format!("ip address add {second}/24 dev eth0"))?;
    let own = machine.control.to_string();
    Refusal { code: "MK1209", names: &[&range, &own, &second] }.of_bootstrap(machine).context("two addresses")
}

pub(super) fn taken_port(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.run_checked("systemd-run --quiet --unit taken socat TCP-LISTEN:6443,fork,reuseaddr /dev/null")?;
    wait_until("the port to be taken", SOON, || {
        machine.run_checked("ss --no-header --listening --tcp --numeric | grep -q ':6443 '")
    })?;
    Refusal { code: "MK1205", names: &["6443", "kube-apiserver", "socat"] }.of_bootstrap(machine)
}

pub(super) fn bad_name(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let untouched = Untouched::of(machine)?;
    for name in ["Boot_Strap", "bootstrap.", "-bootstrap", "localhost"] {
        // hostname(1) would refuse the name, as a careful person does.
        machine.run_checked(&format!("echo {name} > /proc/sys/kernel/hostname"))?;
        let output = bootstrap_sh(machine, "")?;
        Refusal { code: "MK1207", names: &[name] }.is(&output).with_context(|| name.to_owned())?;
    }
    untouched.is_as_before(&[])
}
