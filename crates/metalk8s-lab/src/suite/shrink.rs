//! From several nodes to fewer: draining, removal, reset, and a machine that comes again.

use std::time::Duration;

use anyhow::{Result, ensure};
use metalk8s_diagnostics::Printer;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{kubectl, kubectl_json, said},
    expand::{NODE, apply, manifest, node_machine},
    interrupted::kills,
    run_checks,
};
use crate::{Lab, process::Output, wait_until};

mod drained;
mod former;
mod lost;
pub(super) mod trace;

/// Run by `metalk8s-lab suite shrink`.
pub const SUITE: Suite =
    Suite { name: "shrink", about: "nodes leave a cluster, and their machines are as they were", run };

/// How long a deployment or a removal may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many kills shall hit while the machine becomes a node again.
const KILLS: u64 = 3;

const CHECKS: &[Check] = &[
    Check { name: "a bare machine becomes a node", run: trace::bare_and_deployed },
    Check {
        name: "the Bootstrap node is not removed, and all reasons are told at once",
        run: bootstrap_stays,
    },
    Check { name: "a machine of a cluster that answers is not reset", run: trace::member_stays },
    Check { name: "what a removal would do is shown, and nothing is done", run: foreseen },
    Check {
        name: "a budget stops a deployment with another role in time, and is named with its pod",
        run: drained::roles_blocked,
    },
    Check { name: "the deployment goes on once the budget allows it", run: drained::roles_go_on },
    Check {
        name: "a copy of its agent's certificate reads what an agent has to, as long as it is a node",
        run: former::reads,
    },
    Check {
        name: "a budget stops a removal in time, is named with its pod, and nothing else has happened",
        run: drained::blocked,
    },
    Check { name: "the removal goes on once the budget allows it", run: drained::goes_on },
    Check { name: "nothing of the node is left in the cluster", run: nothing_in_the_cluster },
    Check { name: "the copy of its agent's certificate reads nothing any more", run: former::reads_nothing },
    Check { name: "the machine is as it was before it became a node", run: trace::none },
    Check { name: "removing it again has nothing to do", run: again },
    Check {
        name: "the machine becomes a node again, while the conductor, its agent and a job are killed",
        run: deployed_under_kills,
    },
    Check {
        name: "a certificate whose key was deleted with salt-key reads nothing, and the machine is given another",
        run: former::key_deleted,
    },
];
/// Only where all is asked for.
const MORE_CHECKS: &[Check] = &[
    Check {
        name: "a node that is removed and deployed at once is one, and stays one",
        run: trace::removed_and_deployed_at_once,
    },
    Check { name: "a node that is lost is removed by force, and not without", run: lost::by_force },
    Check { name: "a lost machine that comes back is reset by itself", run: lost::comes_back },
];
const AFTERWARDS: &[Check] =
    &[Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves }];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    printer.data(&format!("seed {0}: --seed {0} kills at the same moments", options.seed));
    let lab = super::bootstrapped(options, SUITE.name, 2)?;
    let checks = options.checks(CHECKS, MORE_CHECKS, AFTERWARDS);
    Ok(run_checks(&checks, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// Runs `metalk8s node` with these words on the Bootstrap node.
fn node_command(stage: &Stage, words: &str) -> Result<Output> {
    Ok(stage.lab.bootstrap()?.run_for(&format!("metalk8s node {words} --no-progress"), PATIENCE)?)
}

fn deploy(stage: &Stage) -> Result<()> {
    apply(stage, &manifest(stage, NODE, &node_machine(stage)?.control.to_string())?)?;
    let output = node_command(stage, &format!("deploy {NODE}"))?;
    ensure!(output.success(), "{}", said(&output));
    Ok(())
}

/// What `interrupted` does with three machines and many kills, with this one and a few.
fn deployed_under_kills(stage: &Stage) -> Result<()> {
    kills::until_hit(stage, &[NODE], KILLS)?;
    node_machine(stage)?.run_checked("systemctl is-active kubelet containerd metalk8s-agent").map(drop)?;
    Ok(())
}

fn remove(stage: &Stage, words: &str) -> Result<Output> {
    node_command(stage, &format!("remove {NODE} --yes {words}"))
}

/// All of these words are in what a command that failed has said.
fn failed_with(output: &Output, words: &[&str]) -> Result<()> {
    ensure!(output.code == 1, "{}", said(output));
    for word in words {
        ensure!(output.stderr.contains(word), "`{word}` is not in it: {}", said(output));
    }
    Ok(())
}

fn bootstrap_stays(stage: &Stage) -> Result<()> {
    let name = &stage.lab.bootstrap()?.name;
    let output = node_command(stage, &format!("remove {name} --yes --force"))?;
    failed_with(&output, &["Bootstrap node", "last master", "only member of etcd"])?;
    let node = kubectl_json(stage.lab.bootstrap()?, &format!("get node {name}"))?;
    ensure!(node["spec"]["unschedulable"].is_null(), "it was closed for pods");
    Ok(())
}

fn foreseen(stage: &Stage) -> Result<()> {
    let output = node_command(stage, &format!("remove {NODE} --dry-run"))?;
    ensure!(output.success(), "{}", said(&output));
    for told in ["~ cordoned", "~ purge calico-cni-plugin", "~ agent on node1", "~ Node node1"] {
        ensure!(output.stdout.contains(told), "`{told}` is not in it: {}", said(&output));
    }
    let node = kubectl_json(stage.lab.bootstrap()?, &format!("get node {NODE}"))?;
    ensure!(node["spec"]["unschedulable"].is_null(), "it was closed for pods");
    let machine = node_machine(stage)?;
    machine.run_checked("systemctl is-active kubelet containerd metalk8s-agent").map(drop)?;
    Ok(())
}

fn nothing_in_the_cluster(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    for kinds in [
        "nodes",
        "certificatesigningrequests",
        "agents,roles,rolebindings -n metalk8s-fleet",
        "pods --all-namespaces --field-selector spec.nodeName=node1",
    ] {
        let found = kubectl(bootstrap, &format!("get {kinds} --output name"))?;
        ensure!(!found.contains(NODE), "{kinds}: {found}");
    }
    Ok(())
}

fn again(stage: &Stage) -> Result<()> {
    let output = remove(stage, "")?;
    ensure!(output.success() && output.stderr.contains("nothing to do"), "{}", said(&output));
    Ok(())
}
