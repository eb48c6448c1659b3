//! Jobs and their answers.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Machine, NODE, Stage, in_master, node_machine, said, wait_until};

pub(super) fn first_answers(stage: &Stage) -> Result<()> {
    let name = &stage.lab.bootstrap()?.name;
    wait_until("an answer", Duration::from_secs(120), || {
        let output = in_master(stage, "salt '*' test.ping").map_err(|error| error.to_string())?;
        if output.success() && output.stdout == format!("{name}:\n    True\n") {
            Ok(())
        } else {
            Err(said(&output))
        }
    })?;
    Ok(())
}

pub(super) fn all_answer(stage: &Stage) -> Result<()> {
    let bootstrap = &stage.lab.bootstrap()?.name;
    let check = |command: &str, expected: &[String]| -> Result<()> {
        let output = in_master(stage, command)?;
        ensure!(output.success(), "{command}: {}", said(&output));
        for text in expected {
            ensure!(output.stdout.contains(text), "{command}: `{text}` is not in {}", said(&output));
        }
        Ok(())
    };
    check("salt '*' test.ping", &[format!("{bootstrap}:\n    True\n"), format!("{NODE}:\n    True\n")])?;
    check("salt -L node1 test.ping --out json", &[format!("{{\n    \"{NODE}\": true\n}}")])?;
    check("salt 'node*' test.version --out txt", &[format!("{NODE}: 0.1.0")])?;
    check("salt node1 grains.get metalk8s:control_plane_ip", &[node_machine(stage)?.control.to_string()])?;
    check("salt-run manage.versions", &["Up to date:".into(), format!("    {NODE}:\n        0.1.0")])?;
    check("salt-run manage.up", &[format!("- {bootstrap}"), format!("- {NODE}")])?;
    check("salt-key -L", &["Accepted Keys:".into(), NODE.into()])?;
    check("salt '*' saltutil.sync_all saltenv=metalk8s-0.1.0", &[format!("{NODE}:\n    ----------")])?;
    check("salt '*' state.sls metalk8s.repo saltenv=metalk8s-0.1.0", &[format!("Summary for {NODE}")])?;
    let output = in_master(stage, "salt 'other*' test.ping")?;
    ensure!(output.code == 2 && output.stdout.contains("No minions matched"), "{}", said(&output));
    let output = in_master(stage, "salt node1 test.pign")?;
    ensure!(output.code == 1 && output.stdout.contains("test.ping"), "{}", said(&output));
    Ok(())
}

pub(super) fn on_a_node(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let address = machine.run_checked("salt-call grains.get metalk8s:control_plane_ip --out txt")?;
    ensure!(address.contains(&machine.control.to_string()), "its address is not in {address}");
    let networks = machine.run_checked("salt-call pillar.get networks --out json")?;
    ensure!(networks.contains("control_plane"), "the settings of the cluster are not in {networks}");
    changes_nothing(machine, "state.highstate")
}

/// A formula of this machine, which is as it shall be.
pub(in super::super) fn changes_nothing(machine: &Machine, formula: &str) -> Result<()> {
    let output = machine.run_for(&format!("salt-call {formula} test=True"), Duration::from_secs(120))?;
    let is_same =
        output.success() && output.stdout.contains("Succeeded: ") && !output.stdout.contains("changed=");
    ensure!(is_same, "{formula}: {}", said(&output));
    Ok(())
}

/// Settings of one call are seen by its formula, and by no later one; a formula of a role is for machines with it.
pub(super) fn one_call(stage: &Stage) -> Result<()> {
    let proxy = format!("salt {NODE} state.sls metalk8s.kubernetes.apiserver-proxy test=True");
    let nodes = r#"{"metalk8s": {"nodes": {"other": {"roles": ["master"], "ip": "192.0.2.9"}}}}"#;
    let output = in_master(stage, &format!("{proxy} pillar='{nodes}'"))?;
    ensure!(output.stdout.contains("192.0.2.9"), "the other master is not seen: {}", said(&output));
    let output = in_master(stage, &proxy)?;
    ensure!(
        output.success() && !output.stdout.contains("changed="),
        "something is left of it: {}",
        said(&output)
    );
    let output = in_master(stage, &format!(r#"{proxy} pillar='{{"networks": {{"pods": "many"}}}}'"#))?;
    ensure!(!output.success() && output.stdout.contains("networks.pods"), "{}", said(&output));
    let output = in_master(stage, &format!("{proxy} pillar=text"))?;
    ensure!(!output.success() && output.stdout.contains("MK1003"), "{}", said(&output));
    let output = in_master(stage, &format!("salt {NODE} state.sls metalk8s.roles.master test=True"))?;
    ensure!(!output.success() && output.stdout.contains("MK1814"), "{}", said(&output));
    changes_nothing(node_machine(stage)?, "state.sls metalk8s.roles.node,metalk8s.roles.minion")?;
    let of_bootstrap = "metalk8s.roles.etcd,metalk8s.roles.master,metalk8s.repo.installed,metalk8s.deployed";
    changes_nothing(stage.lab.bootstrap()?, &format!("state.sls {of_bootstrap}"))
}

pub(super) fn survives(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let output = in_master(stage, "salt node1 cmd.run 'sleep 8; date +%s > /run/told; echo done' --async")?;
    let jid = output.stdout.rsplit(' ').next().unwrap_or_default().trim().to_owned();
    ensure!(jid.len() == 20, "no job was begun: {}", said(&output));
    let folder = format!("/var/lib/metalk8s/agent/jobs/{jid}");
    wait_until("the job to begin", Duration::from_secs(30), || {
        match machine.run(&format!("test -s {folder}/process")) {
            Ok(output) if output.success() => Ok(()),
            _ => Err("it has no process"),
        }
    })?;
    machine.run_checked("systemctl kill --kill-whom=main --signal KILL metalk8s-agent.service")?;
    wait_until("the result", Duration::from_secs(60), || {
        let output = in_master(stage, &format!("salt-run jobs.lookup_jid {jid}"))
            .map_err(|error| error.to_string())?;
        if output.stdout.contains("done") { Ok(()) } else { Err(said(&output)) }
    })?;
    Ok(())
}

pub(super) fn killed(stage: &Stage) -> Result<()> {
    let output = in_master(stage, &format!("salt {NODE} cmd.run 'sleep 4321' --async"))?;
    let jid = output.stdout.rsplit(' ').next().unwrap_or_default().trim().to_owned();
    let call = |words: &str| in_master(stage, &format!("salt {NODE} {words}"));
    wait_until("the job to run", Duration::from_secs(30), || {
        let output = call("saltutil.running").map_err(|error| error.to_string())?;
        if output.stdout.contains(&jid) { Ok(()) } else { Err(said(&output)) }
    })?;
    let output = call(&format!("saltutil.kill_job {jid}"))?;
    ensure!(output.stdout.contains(&format!("Signal 9 sent to job {jid}")), "{}", said(&output));
    wait_until("the job to be gone", Duration::from_secs(30), || {
        let found = call(&format!("saltutil.find_job {jid}")).map_err(|error| error.to_string())?;
        let told = in_master(stage, &format!("salt-run jobs.lookup_jid {jid}"))
            .map_err(|error| error.to_string())?;
        let is_over = !found.stdout.contains("cmd.run") && told.stdout.contains("signal: 9");
        if is_over { Ok(()) } else { Err(said(&told)) }
    })?;
    let left = node_machine(stage)?.run("pgrep --full 'sleep 4321'")?;
    ensure!(!left.success(), "what it started is still there: {}", left.stdout);
    Ok(())
}
