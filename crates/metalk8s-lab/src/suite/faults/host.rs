//! Hosts that cannot be a Bootstrap node as they are.

use anyhow::{Context, Result};
use metalk8s_types::paths::BOOTSTRAP_CONFIG;

use super::{bare_machine, refusal::Refusal};
use crate::{install, suite::Stage, wait_until};

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
    wait_until("the port to be taken", std::time::Duration::from_secs(20), || {
        machine.run_checked("ss --no-header --listening --tcp --numeric | grep -q ':6443 '")
    })?;
    Refusal { code: "MK1205", names: &["6443", "kube-apiserver", "socat"] }.of_bootstrap(machine)
}

pub(super) fn bad_name(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    for name in ["Boot_Strap", "bootstrap.", "-bootstrap", "localhost"] {
        // hostname(1) would refuse the name, as a careful person does.
        machine.run_checked(&format!("echo {name} > /proc/sys/kernel/hostname"))?;
        Refusal { code: "MK1207", names: &[name] }.of_bootstrap(machine).with_context(|| name.to_owned())?;
    }
    Ok(())
}
