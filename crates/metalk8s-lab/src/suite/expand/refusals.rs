//! What a deployment refuses, and how.

use anyhow::{Result, ensure};
use metalk8s_types::{Role, fleet, labels};
use serde_json::{Value, json};

use super::{NODE, Stage, apply, kubectl, manifest, node_machine, untouched::refused_and_untouched};

/// A name that is nobody's.
const NOBODY: &str = "nobody";

pub(super) fn mistakes(stage: &Stage) -> Result<()> {
    apply(
        stage,
        &format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {NOBODY}\n  annotations:\n    {}: many\n    {}: 'yes'\n",
            labels::SSH_PORT,
            labels::SSH_SUDO
        ),
    )?;
    let words = [labels::VERSION, "it has no role", labels::SSH_PORT, labels::SSH_SUDO];
    let told = refused_and_untouched(stage, NOBODY, &words);
    kubectl(stage.lab.bootstrap()?, &format!("delete node {NOBODY}"))?;
    told?;
    refused_and_untouched(stage, NOBODY, &["there is no Node `nobody`"])
}

pub(super) fn unreachable(stage: &Stage) -> Result<()> {
    // An address of the lab's own network that no machine has.
    let address = stage.lab.networks.control.subnet.hosts().last();
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    apply(stage, &manifest(stage, NOBODY, &address)?)?;
    let told = refused_and_untouched(stage, NOBODY, &["Reaching the machine", &address]);
    kubectl(stage.lab.bootstrap()?, &format!("delete node {NOBODY}"))?;
    told
}

pub(super) fn wrong_key(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let address = machine.control.to_string();
    apply(stage, &manifest(stage, NODE, &address)?)?;
    machine.run_checked("mv /root/.ssh/authorized_keys /root/.ssh/kept")?;
    let told = refused_and_untouched(stage, NODE, &["Reaching the machine", "root", &address]);
    machine.run_checked("mv /root/.ssh/kept /root/.ssh/authorized_keys")?;
    told
}

/// The clock of a lab's machine is the computer's; what is compared is what the machine is told, so the program
/// that is sent is asked directly.
pub(super) fn clock(stage: &Stage) -> Result<()> {
    let output = super::in_master(stage, &format!("salt-ssh --roster kubernetes {NODE} test.version"))?;
    ensure!(output.success(), "{}", super::said(&output));
    let machine = node_machine(stage)?;
    let folder = machine.run_checked("ls -d /var/lib/metalk8s/programs/metalk8s-*")?;
    let bootstrap = stage.lab.bootstrap()?;
    let template = format!("{{{{index .data \"{}\" | base64decode}}}}", fleet::SETTINGS_KEY);
    let settings = kubectl(
        bootstrap,
        &format!("get secret {} -n {} -o go-template='{template}'", fleet::SETTINGS, fleet::NAMESPACE),
    )?;
    let earlier = machine.run_checked("date --utc --date '-10 minutes' +%Y-%m-%dT%H:%M:%SZ")?;
    let invitation = json!({
        "node": NODE,
        "version": "x",
        "roles": ["node"],
        "now": earlier.trim(),
        "shared": {},
        "settings": serde_json::from_str::<Value>(&settings)?,
    });
    machine.write("/root/invitation", invitation.to_string().as_bytes(), 0o600)?;
    let invitation = format!("{}/metalk8s join examine < /root/invitation", folder.trim());
    let output = machine.run(&invitation)?;
    ensure!(output.success(), "{}", super::said(&output));
    let examined: Value = serde_json::from_str(&output.stdout)?;
    let refused = examined["findings"].as_array().into_iter().flatten().any(|finding| {
        let message = finding["message"].as_str().unwrap_or_default();
        let seconds = message.split(' ').filter_map(|word| word.parse::<u64>().ok()).next();
        // Up to a minute goes by between the two looks at the clock, on a busy computer.
        finding["code"] == "MK1212"
            && finding["severity"] == "error"
            && seconds.is_some_and(|off| (600..660).contains(&off))
    });
    ensure!(refused, "{}", super::said(&output));
    Ok(())
}

pub(super) fn taken_port(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.run_checked(
        "systemd-run --quiet --unit taken --property DynamicUser=no socat TCP-LISTEN:10250,fork SYSTEM:true",
    )?;
    let words = ["Examining the machine", "port 10250", "socat", "MK1205"];
    let told = refused_and_untouched(stage, NODE, &words);
    machine.run_checked("systemctl stop taken")?;
    told?;
    let left = machine.run("test -e /etc/apt/sources.list.d/metalk8s-0.1.0.sources || command -v kubelet")?;
    ensure!(!left.success(), "something was installed all the same: {}", left.stdout);
    Ok(())
}

/// Its label is given back, whatever was said.
pub(super) fn lost_role(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let (name, label) = (&bootstrap.name, Role::Etcd.key());
    kubectl(bootstrap, &format!("label node {name} {label}-"))?;
    let words = ["the Bootstrap node keeps the role etcd", "MK1711"];
    let refused = refused_and_untouched(stage, name, &words);
    kubectl(bootstrap, &format!("label node {name} {label}="))?;
    refused
}
