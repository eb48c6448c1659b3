//! From one node to several, with the commands of the manual, and what an agent may and may not do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Printer;
use metalk8s_types::{Role, labels, paths};

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{kubectl, kubectl_json, said},
    listening, run_checks,
};
use crate::{Lab, Machine, install::version_of_archive, machine::quoted, process::Output, wait_until};

mod api;
mod certificates;
mod deploy;
pub(super) mod jobs;
pub(super) mod moved;
mod other_version;
mod pepper;
mod plans;
mod refusals;
mod rights;
mod runs;
mod untouched;

/// Run by `metalk8s-lab suite expand`.
pub const SUITE: Suite =
    Suite { name: "expand", about: "machines join a cluster, and agents do what they may and no more", run };

/// The machine that joins.
pub(super) const NODE: &str = "node1";
/// The seconds that agents have to begin what they are given.
const BEGIN: u32 = 60;
/// How long a deployment may take.
const DEPLOYMENT: Duration = Duration::from_secs(600);

const CHECKS: &[Check] = &[
    Check { name: "the agent of the Bootstrap node answers `salt '*' test.ping`", run: jobs::first_answers },
    Check {
        name: "a Node object without version or role is refused, and told all at once; the cluster is as it was",
        run: refusals::mistakes,
    },
    Check {
        name: "a machine that is not there is told as such, and the cluster is as it was",
        run: refusals::unreachable,
    },
    Check {
        name: "a key that does not fit is told with user and machine, and the cluster is as it was",
        run: refusals::wrong_key,
    },
    Check { name: "a clock that is 10 minutes off is refused with the reason", run: refusals::clock },
    Check {
        name: "a taken port is refused, and nothing is changed on the machine or in the cluster",
        run: refusals::taken_port,
    },
    Check {
        name: "a label takes no role of the control plane from the Bootstrap node, and the cluster is as it was",
        run: refusals::lost_role,
    },
    Check {
        name: "a new Node is listed as Unknown, and salt-ssh reaches its machine",
        run: deploy::described,
    },
    Check { name: "what a deployment would do is shown, and nothing is done", run: deploy::foreseen },
    Check { name: "a deployment that is killed with its conductor goes on by itself", run: deploy::killed },
    Check { name: "the node is Ready, and pods on it reach names and Services", run: deploy::works },
    Check {
        name: "exactly the documented processes listen on the worker, where they should",
        run: |stage| listening::as_documented(node_machine(stage)?, &[]),
    },
    Check { name: "deploying again changes nothing", run: deploy::again },
    Check {
        name: "a deployment is watched and cancelled: it ends after its step, and the next one changes nothing",
        run: runs::are_cancelled,
    },
    Check {
        name: "the certificates of all nodes are listed, with subject, issuer, expiry, owner and renewal",
        run: certificates::of_all_nodes,
    },
    Check { name: "all agents answer, in every form of output", run: jobs::all_answer },
    Check { name: "an agent that does not answer is named, and the status is 1", run: jobs::silent },
    Check { name: "on a node, `salt-call` reads what the cluster tells of it", run: jobs::on_a_node },
    Check {
        name: "settings are given for one call, and formulas of roles are for machines with the role",
        run: jobs::one_call,
    },
    Check {
        name: "one plan has what differs on both nodes, or on the one that is named, and is applied to both",
        run: plans::are_applied,
    },
    Check {
        name: "a plan that one node has moved away from is refused, and neither node is changed",
        run: plans::are_refused,
    },
    Check { name: "a job goes on when its agent is killed, and is told", run: jobs::survives },
    Check {
        name: "a job that ends while its agent cannot reach the API is told afterwards, and is not run again",
        run: jobs::without_an_api,
    },
    Check { name: "an agent whose disk is full says so, and serves on", run: jobs::full_disk },
    Check { name: "a job that is killed ends with all that it started, and is told", run: jobs::killed },
    Check {
        name: "the HTTP API lets in whom the cluster knows and allows, and nobody else",
        run: api::lets_in,
    },
    Check {
        name: "over the HTTP API agents are pinged, and a job's events and result are read",
        run: api::jobs,
    },
    Check {
        name: "a client that others wrote logs in, pings, runs a job and reads its events",
        run: pepper::works,
    },
    Check {
        name: "over the HTTP API the Bootstrap node and a worker are deployed, which changes nothing",
        run: api::deploys,
    },
    Check { name: "an agent reads and writes its own object, and no other", run: rights::of_an_agent },
    Check { name: "a certificate that a node's roles do not give is denied", run: rights::of_a_request },
    Check { name: "after a reboot the node comes back by itself", run: deploy::reboot },
];
/// Only where all is asked for.
const MORE_CHECKS: &[Check] = &[
    Check {
        name: "states of another version are left to its program, which a node fetches and keeps beside its own",
        run: other_version::is_fetched,
    },
    // Connections from a former address take their time.
    Check {
        name: "a worker whose machine has other addresses is deployed again, and works",
        run: moved::is_deployed_again,
    },
];
const AFTERWARDS: &[Check] =
    &[Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves }];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bootstrapped(options, SUITE.name, 2)?;
    let checks = options.checks(CHECKS, MORE_CHECKS, AFTERWARDS);
    Ok(run_checks(&checks, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// Runs a command in the container `salt-master`. Agents have longer to begin than the 5 s of `salt` and `salt-run`,
/// which those of a busy computer may need.
pub(super) fn in_master(stage: &Stage, command: &str) -> Result<Output> {
    let bootstrap = stage.lab.bootstrap()?;
    let patient = match command.split_once(' ') {
        Some((program @ ("salt" | "salt-run"), words)) if !words.contains("--timeout") => {
            format!("{program} --timeout {BEGIN} {words}")
        }
        _ => command.to_owned(),
    };
    let call = format!(
        "kubectl --kubeconfig {} exec -n kube-system -c salt-master salt-master-{} -- bash -c {}",
        paths::ADMIN_KUBECONFIG,
        bootstrap.name,
        quoted(&patient)
    );
    Ok(bootstrap.run_for(&call, DEPLOYMENT)?)
}

/// Runs the deployment of a node as the manual prints it.
pub(super) fn deploy_node(stage: &Stage, node: &str) -> Result<Output> {
    in_master(stage, &deployment(&version_of_archive(stage.lab.bootstrap()?)?, node))
}

pub(super) fn deployment(version: &str, node: &str) -> String {
    orchestration("deploy_node", version, node)
}

pub(super) fn removal(version: &str, node: &str) -> String {
    orchestration("remove_node", version, node)
}

fn orchestration(name: &str, version: &str, node: &str) -> String {
    format!(
        "salt-run state.orchestrate metalk8s.orchestrate.{name} saltenv=metalk8s-{version} \
         pillar='{{\"orchestrate\": {{\"node_name\": \"{node}\"}}}}'"
    )
}

/// The manifest of the manual for a worker.
pub(super) fn manifest(stage: &Stage, node: &str, host: &str) -> Result<String> {
    node_manifest(stage, node, host, &[Role::Node])
}

/// The manifest of the manual for a node with these roles.
pub(super) fn node_manifest(stage: &Stage, node: &str, host: &str, roles: &[Role]) -> Result<String> {
    let version = version_of_archive(stage.lab.bootstrap()?)?;
    let roles: String = roles.iter().map(|role| format!("    {}: ''\n", role.key())).collect();
    Ok(format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {node}\n  annotations:\n    {}: {}/salt-bootstrap\n    \
         {}: {host}\n    {}: 'false'\n  labels:\n    {}: '{version}'\n{roles}",
        labels::SSH_KEY_PATH,
        paths::PKI_DIR,
        labels::SSH_HOST,
        labels::SSH_SUDO,
        labels::VERSION,
    ))
}

/// Makes each of these machines a master with a member of etcd, one after the other.
pub(super) fn masters_join(stage: &Stage, names: &[&str]) -> Result<()> {
    for name in names {
        let machine = stage.machine(name)?;
        let host = machine.control.to_string();
        apply(stage, &node_manifest(stage, name, &host, &[Role::Master, Role::Etcd, Role::Infra])?)?;
        let output = deploy_node(stage, name)?;
        ensure!(output.success(), "{}", said(&output));
    }
    Ok(())
}

/// Applies a manifest on the Bootstrap node, and returns what kubectl said.
pub(super) fn apply(stage: &Stage, manifest: &str) -> Result<String> {
    let bootstrap = stage.lab.bootstrap()?;
    bootstrap.write("/root/node.yaml", manifest.as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/node.yaml")
}

pub(super) fn node_machine(stage: &Stage) -> Result<&Machine> {
    stage.lab.machine(NODE).context("the lab has no second machine")
}

/// A deployment that must fail, with these words in what is printed, and a summary.
fn must_fail(stage: &Stage, node: &str, words: &[&str]) -> Result<()> {
    let output = deploy_node(stage, node)?;
    ensure!(output.code == 1, "a deployment that cannot be done: {}", said(&output));
    let failed = output.stdout.lines().any(|line| line.split_whitespace().eq(["Failed:", "1"]));
    ensure!(failed, "no step failed: {}", said(&output));
    for word in words {
        ensure!(output.stdout.contains(word), "`{word}` is not in it: {}", said(&output));
    }
    Ok(())
}
