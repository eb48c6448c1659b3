//! Plans that are made, kept, applied and refused.

use super::*;
use crate::SOON;

const PANIC: &str = "/proc/sys/kernel/panic";
/// Nobody has a word like this.
const SECRET: &str = "correct-horse-battery-staple";

pub(super) fn as_wished(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let plan = metalk8s_json(machine, "plan", 0)?;
    ensure!(changes(&plan, machine)?.is_empty(), "{plan:#}");
    stage.note(format!("{} states", plan["plans"][&machine.name]["states"]));
    none_left(machine)
}

pub(super) fn sees_drift(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    break_by_hand(machine)?;
    let plan = metalk8s_json(machine, &format!("plan --out {PLAN}"), 0)?;
    let found = changes(&plan, machine)?;
    let is_there = |summary: &str, line: &str| {
        found.iter().any(|(_, told, diff)| {
            *told == summary && (line.is_empty() || diff.lines().any(|found| found == line))
        })
    };
    ensure!(is_there(&format!("write {FILE}"), "-debug: true"), "{plan:#}");
    ensure!(is_there("start kubelet.service", ""), "{plan:#}");
    ensure!(is_there("create ConfigMap `kube-system/coredns`", "+  name: coredns"), "{plan:#}");
    ensure!(found.len() == 3, "{plan:#}");
    let text = metalk8s(machine, &format!("plan --node {}", machine.name), 0)?.stdout;
    ensure!(text.contains("    -debug: true\n") && !text.contains('\u{1b}'), "{text}");
    ensure!(text.lines().last().is_some_and(|line| line.ends_with("differs")), "{text}");
    metalk8s(machine, "drift", 3)?;
    let mode = machine.run_checked(&format!("stat --format %a {PLAN}"))?;
    ensure!(mode == "600", "the plan has the mode {mode}");
    Ok(())
}

/// Works with the plan that was kept, and with what is still broken.
pub(super) fn refuses(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let before = machine.run_checked(&format!("cat {PANIC}"))?;
    machine.run_checked(&format!("echo 77 > {PANIC}"))?;
    let output = metalk8s(machine, &format!("apply {PLAN} --yes"), 5);
    machine.run_checked(&format!("echo {before} > {PANIC}"))?;
    let output = output?;
    ensure!(output.stderr.contains("new: `kernel parameter kernel.panic`"), "{}", said(&output));
    machine.run_checked(&format!("grep --quiet 'debug: true' {FILE}"))?;
    let unasked = metalk8s(machine, &format!("apply {PLAN}"), 2)?;
    ensure!(unasked.stderr.contains("--yes"), "{}", said(&unasked));
    metalk8s(machine, "drift", 3).map(drop)
}

pub(super) fn applies(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let done = metalk8s_json(machine, &format!("apply {PLAN} --yes"), 0)?;
    ensure!(done["nodes"][&machine.name]["changed"] == 3, "{done:#}");
    none_left(machine)?;
    kubectl(machine, "get configmap coredns -n kube-system")?;
    machine.run_checked("systemctl is-active kubelet.service")?;
    let again = metalk8s_json(machine, &format!("apply {PLAN} --yes"), 0)?;
    ensure!(again["nodes"].as_object().is_some_and(serde_json::Map::is_empty), "{again:#}");
    Ok(())
}

/// The kubelet's start is held up while its job is killed.
pub(super) fn goes_on(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let drop_in = "/run/systemd/system/kubelet.service.d/held.conf";
    let held = "[Service]\\nExecStartPre=/bin/sh -c \"until test -e /run/go-on; do sleep 0.2; done\"\\n";
    machine.run_checked(&format!(
        "rm -f /run/go-on; mkdir -p $(dirname {drop_in}); printf '{held}' > {drop_in}; systemctl daemon-reload"
    ))?;
    change_file(machine)?;
    machine.run_checked("systemctl stop kubelet.service")?;
    metalk8s(machine, &format!("plan --out {PLAN}"), 0)?;
    machine.run_checked(&format!(
        "systemd-run --quiet --unit applying --remain-after-exit /bin/sh -c 'metalk8s apply {PLAN} --yes > /run/applied 2>&1; echo $? > /run/applied.code'"
    ))?;
    wait_until("the file to be right and the unit to start", SOON, || {
        let looked = machine.run(&format!(
            "! grep --quiet 'debug: true' {FILE} && systemctl is-active kubelet.service | grep --quiet activating"
        ));
        match looked {
            Ok(output) if output.success() => Ok(()),
            Ok(output) => Err(said(&output)),
            Err(error) => Err(error.to_string()),
        }
    })?;
    // Jobs are called by their moment: the last one is that of the plan.
    machine.run_checked(
        "kill -KILL $(cut --delimiter ' ' --fields 1 $(ls -d /var/lib/metalk8s/agent/jobs/* | tail -n 1)/process)",
    )?;
    wait_until("the command to end", SOON, || match machine.run("cat /run/applied.code") {
        Ok(output) if output.stdout.trim() == "1" => Ok(()),
        Ok(output) => Err(said(&output)),
        Err(error) => Err(error.to_string()),
    })?;
    let told = machine.run_checked("cat /run/applied")?;
    ensure!(told.contains("ended without a result"), "{told}");
    machine.run_checked("systemctl stop kubelet.service applying.service; touch /run/go-on")?;
    let output = metalk8s(machine, &format!("apply {PLAN} --yes"), 0)?;
    ensure!(output.stderr.contains("1 of the plan done already"), "{}", said(&output));
    machine.run_checked(&format!("rm {drop_in} /run/go-on; systemctl daemon-reload"))?;
    none_left(machine)
}

pub(super) fn keeps_secrets(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let (plan, agents, traces) = while_private_differs(machine, || {
        let plan = metalk8s(machine, &format!("plan --out {PLAN}"), 0)?;
        let agents = kubectl(machine, "get agents --all-namespaces --output yaml")?;
        let traces = machine.run(&format!(
            "grep --recursive --files-with-matches {SECRET} {PLAN} /var/lib/metalk8s /var/log/metalk8s; journalctl --unit metalk8s-agent.service | grep {SECRET}"
        ))?;
        Ok((plan.stdout, agents, traces.stdout))
    })?;
    ensure!(plan.contains(&format!("write {PRIVATE}")), "{plan}");
    for (place, text) in [("plan", plan), ("agents", agents), ("files and logs", traces)] {
        ensure!(!text.contains(SECRET) && !text.contains(PLAN), "it is in the {place}: {text}");
    }
    none_left(machine)
}

/// Nothing is shown of it, and all the same it is not what was agreed upon.
pub(super) fn sees_secrets_move(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let (refused, applied) = while_private_differs(machine, || {
        metalk8s(machine, &format!("plan --out {PLAN}"), 0)?;
        machine.run_checked(&format!("echo '# another' >> {PRIVATE}"))?;
        let refused = metalk8s(machine, &format!("apply {PLAN} --yes"), 5)?.stderr;
        machine.run_checked(&format!("sed --in-place '/another/d' {PRIVATE}"))?;
        Ok((refused, metalk8s_json(machine, &format!("apply {PLAN} --yes"), 0)?))
    })?;
    ensure!(refused.contains("different: ") && !refused.contains("another"), "{refused}");
    ensure!(applied["nodes"][&machine.name]["changed"] == 1, "{applied:#}");
    none_left(machine)
}

/// Does something while a private file holds a line that it shall not hold, and puts the file back.
fn while_private_differs<T>(machine: &Machine, act: impl FnOnce() -> Result<T>) -> Result<T> {
    machine.run_checked(&format!(
        "cp --preserve=all {PRIVATE} {PRIVATE}.kept; echo '# {SECRET}' >> {PRIVATE}"
    ))?;
    let done = act();
    machine.run_checked(&format!("mv {PRIVATE}.kept {PRIVATE}"))?;
    done
}

pub(super) fn others(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    change_file(machine)?;
    metalk8s(machine, &format!("plan --out {PLAN}"), 0)?;
    machine.run_checked(&format!(
        "sed 's/\"cluster\": \"/&f/' {PLAN} > {PLAN}.other; sed 's/\"digest\": \"/&f/' {PLAN} > {PLAN}.edited"
    ))?;
    let other = metalk8s(machine, &format!("apply {PLAN}.other --yes"), 5)?;
    ensure!(other.stderr.contains("another cluster"), "{}", said(&other));
    let edited = metalk8s(machine, &format!("apply {PLAN}.edited --yes"), 1)?;
    ensure!(edited.stderr.contains("was changed"), "{}", said(&edited));
    metalk8s(machine, &format!("apply {PLAN} --yes"), 0)?;
    none_left(machine)
}

pub(super) fn silent(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    machine.run_checked("systemctl stop metalk8s-agent.service")?;
    let told = metalk8s_json(machine, "drift --timeout 3", 4);
    machine.run_checked("systemctl start metalk8s-agent.service")?;
    let told = told?;
    let why = told["silent"][&machine.name].as_str().unwrap_or_default();
    ensure!(why.contains("did not answer"), "{told:#}");
    let unknown = metalk8s(machine, "drift --node nobody", 1)?;
    ensure!(unknown.stderr.contains("nobody"), "{}", said(&unknown));
    none_left(machine)
}

fn break_by_hand(machine: &Machine) -> Result<()> {
    change_file(machine)?;
    machine.run_checked("systemctl stop kubelet.service")?;
    kubectl(machine, "delete configmap coredns -n kube-system").map(drop)
}
