//! Jobs and their answers.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Machine, NODE, Stage, in_master, node_machine, said, version_of_archive, wait_until};
use crate::SOON;

pub(super) fn first_answers(stage: &Stage) -> Result<()> {
    let name = &stage.lab.bootstrap()?.name;
    wait_until("an answer", SOON, || {
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
    check("salt node1 test.ping --out nested", &[format!("{NODE}:\n    True\n")])?;
    check("salt node1 test.ping --out yaml", &[format!("{NODE}: true\n")])?;
    let quiet = in_master(stage, "salt '*' test.ping --out quiet")?;
    ensure!(quiet.success() && quiet.stdout.is_empty(), "{}", said(&quiet));
    check("salt node1 grains.get metalk8s:control_plane_ip", &[node_machine(stage)?.control.to_string()])?;
    check("salt-run manage.versions", &["Up to date:".into(), format!("    {NODE}:\n        0.1.0")])?;
    check("salt-run manage.up", &[format!("- {bootstrap}"), format!("- {NODE}")])?;
    check("salt-key -L", &["Accepted Keys:".into(), NODE.into()])?;
    check("salt '*' saltutil.sync_all saltenv=metalk8s-0.1.0", &[format!("{NODE}:\n    ----------")])?;
    check("salt '*' state.sls metalk8s.repo saltenv=metalk8s-0.1.0", &[format!("Summary for {NODE}")])?;
    let version = version_of_archive(stage.lab.bootstrap()?)?;
    check(
        &format!("salt-run state.sls metalk8s.deployed saltenv=metalk8s-{version} test=True"),
        &["Summary for bootstrap_master".into()],
    )?;
    check("salt-run state.orchestrate_single test.nop one", &["Succeeded: 1".into()])?;
    let output = in_master(stage, "salt 'other*' test.ping")?;
    ensure!(output.code == 2 && output.stdout.contains("No minions matched"), "{}", said(&output));
    let output = in_master(stage, "salt node1 test.pign")?;
    ensure!(output.code == 1 && output.stdout.contains("test.ping"), "{}", said(&output));
    Ok(())
}

/// The others' answers are printed all the same.
pub(super) fn silent(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.run_checked("systemctl stop metalk8s-agent.service")?;
    let asked = in_master(stage, "salt '*' test.ping --timeout 20");
    machine.run_checked("systemctl start metalk8s-agent.service")?;
    let asked = asked?;
    let bootstrap = &stage.lab.bootstrap()?.name;
    ensure!(asked.code == 1, "{}", said(&asked));
    let missing = format!("{NODE}:\n    Minion did not return. [No response]\n");
    for text in [format!("{bootstrap}:\n    True\n"), missing] {
        ensure!(asked.stdout.contains(&text), "`{text}` is not in {}", said(&asked));
    }
    wait_until("the agent to answer again", SOON, || {
        let again = in_master(stage, &format!("salt {NODE} test.ping")).map_err(|error| error.to_string())?;
        if again.success() { Ok(()) } else { Err(said(&again)) }
    })?;
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
    let output = machine.run_for(&format!("salt-call {formula} test=True"), SOON)?;
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
    let jid = begun(stage, "sleep 8; date +%s > /run/told; echo done")?;
    let process = format!("/var/lib/metalk8s/agent/jobs/{jid}/process");
    waits_for_file(machine, "the job to begin", &process)?;
    machine.run_checked("systemctl kill --kill-whom=main --signal KILL metalk8s-agent.service")?;
    wait_until("the result", SOON, || {
        let output = in_master(stage, &format!("salt-run jobs.lookup_jid {jid}"))
            .map_err(|error| error.to_string())?;
        if output.stdout.contains("done") { Ok(()) } else { Err(said(&output)) }
    })?;
    Ok(())
}

/// What its agent cannot tell now it tells later.
pub(super) fn without_an_api(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let wall = |verb: &str| {
        format!("iptables {verb} OUTPUT --protocol tcp --dport 6443 --jump REJECT --reject-with tcp-reset")
    };
    // The job reads what it needs from the API before its command begins.
    let (has_begun, cut_off) = ("/run/has-begun", "/run/cut-off");
    let command = format!(
        "date > {has_begun}; until test -e {cut_off}; do sleep 0.2; done; date +%s >> /run/told-later; echo done"
    );
    let jid = begun(stage, &command)?;
    let folder = format!("/var/lib/metalk8s/agent/jobs/{jid}");
    waits_for_file(machine, "the job to begin", has_begun)?;
    machine.run_checked(&format!("{} && touch {cut_off}", wall("--insert")))?;
    let ended = waits_for_file(machine, "the job to end", &format!("{folder}/outcome.json"));
    let told = in_master(stage, &format!("salt-run jobs.lookup_jid {jid}"));
    // Long enough for the agent to have tried to tell it.
    std::thread::sleep(Duration::from_secs(5));
    machine.run_checked(&format!("rm {has_begun} {cut_off}; {}", wall("--delete")))?;
    ended?;
    let told = told?;
    ensure!(!told.stdout.contains("done"), "the API was to be out of reach: {}", said(&told));
    wait_until("the result", SOON, || {
        let output = in_master(stage, &format!("salt-run jobs.lookup_jid {jid}"))
            .map_err(|error| error.to_string())?;
        if output.stdout.contains("done") { Ok(()) } else { Err(said(&output)) }
    })?;
    let times = machine.run_checked("cat /run/told-later")?;
    ensure!(times.lines().count() == 1, "it was carried out at {times}");
    Ok(())
}

/// Where the agent remembers jobs nothing more fits: whoever gives it one is told, and it serves on.
pub(super) fn full_disk(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let folder = "/var/lib/metalk8s/agent/jobs";
    let pid = || machine.run_checked("systemctl show --property MainPID --value metalk8s-agent.service");
    let before = pid()?;
    machine.run_checked(&format!(
        "set -e
mkdir /run/spool && mount --types tmpfs --options size=8m none /run/spool
cp --archive {folder} /run/spool/jobs && mount --bind /run/spool/jobs {folder}
dd if=/dev/zero of=/run/spool/filler bs=4k 2> /dev/null || true"
    ))?;
    let refused = in_master(stage, &format!("salt {NODE} test.ping"));
    machine.run_checked("rm /run/spool/filler")?;
    let answered = in_master(stage, &format!("salt {NODE} test.ping"));
    machine.run_checked(&format!(
        "set -e
umount {folder} && cp --archive /run/spool/jobs/. {folder}/
umount /run/spool && rmdir /run/spool"
    ))?;
    let refused = refused?;
    ensure!(refused.code == 1, "{}", said(&refused));
    ensure!(
        refused.stdout.contains("No space left") && refused.stdout.contains("MK1007"),
        "{}",
        said(&refused)
    );
    let answered = answered?;
    ensure!(answered.success(), "{}", said(&answered));
    let after = pid()?;
    ensure!(before == after, "the agent was {before}, and is {after}");
    Ok(())
}

/// Has the node run a command, and gives the name of the job.
fn begun(stage: &Stage, command: &str) -> Result<String> {
    let output = in_master(stage, &format!("salt {NODE} cmd.run '{command}' --async"))?;
    let jid = output.stdout.rsplit(' ').next().unwrap_or_default().trim().to_owned();
    ensure!(jid.len() == 20, "no job was begun: {}", said(&output));
    Ok(jid)
}

/// Waits until there is something in a file.
fn waits_for_file(machine: &Machine, what: &str, path: &str) -> Result<()> {
    wait_until(what, SOON, || match machine.run(&format!("test -s {path}")) {
        Ok(output) if output.success() => Ok(()),
        _ => Err(format!("`{path}` is not there")),
    })?;
    Ok(())
}

pub(super) fn killed(stage: &Stage) -> Result<()> {
    let jid = begun(stage, "sleep 4321")?;
    let call = |words: &str| in_master(stage, &format!("salt {NODE} {words}"));
    wait_until("the job to run", SOON, || {
        let output = call("saltutil.running").map_err(|error| error.to_string())?;
        if output.stdout.contains(&jid) { Ok(()) } else { Err(said(&output)) }
    })?;
    let output = call(&format!("saltutil.kill_job {jid}"))?;
    ensure!(output.stdout.contains(&format!("Signal 9 sent to job {jid}")), "{}", said(&output));
    wait_until("the job to be gone", SOON, || {
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
