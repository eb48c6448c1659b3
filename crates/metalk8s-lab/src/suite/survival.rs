//! Three machines with all roles and strict firewalls, of which one after the other is lost while a client writes all the time.

use std::time::Duration;

use anyhow::Result;
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::Role;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{condition, kubectl, kubectl_json, said, wait_for_pods, wait_settled},
    expand::{apply, deploy_node, in_master, jobs::changes_nothing, node_manifest},
    listening, run_checks,
    shrink::trace,
};
use crate::{Lab, Machine, install, wait_until};

mod authorities;
mod conductors;
mod etcd;
mod joining;
mod leaving;
mod load;
mod losses;
mod moved;
mod renamed;
mod walls;

/// Run by `metalk8s-lab suite survival`.
pub const SUITE: Suite = Suite {
    name: "survival",
    about: "three masters lose processes, machines, their network and a name under writes, and nothing written is lost",
    run,
};

/// The machines that join.
const JOINING: [&str; 2] = ["node1", "node2"];
/// The one from which is written, by its own balancer. It loses processes, but never its power.
const WRITER: &str = "node2";
/// How long a cluster may take to be whole again.
const WHOLE: Duration = Duration::from_secs(300);

const LOSSES: &[Check] = &[
    Check {
        name: "two machines become masters with etcd, one after the other, by the commands of the manual",
        run: joined,
    },
    Check { name: "exactly the documented processes listen on each machine, where they should", run: listen },
    Check {
        name: "masters reach etcd and the kubelet of each other through firewalls that drop what they do not know",
        run: walls::let_masters_in,
    },
    Check {
        name: "a pod on each machine resolves names through these firewalls",
        run: walls::let_pods_through,
    },
    Check { name: "a client writes by the balancer of a node, and is answered", run: load::begins },
    authorities::CHECK,
    Check { name: "the leader of etcd is killed", run: losses::leader },
    Check { name: "an API server is killed on each machine", run: losses::api_servers },
    Check {
        name: "conductor and agents are killed while a master changes its roles, and the run ends well",
        run: losses::deployment,
    },
    Check { name: "the Bootstrap node loses its power, and comes back", run: losses::bootstrap },
    Check {
        name: "a master leaves with its member of etcd, and its machine is as it was before",
        run: leaving::master,
    },
];
/// Only where all is asked for: the sample has the loss of the Bootstrap node, which cuts it off as well, a master
/// that leaves, and the name of a worker is changed among the commands of the manual.
const MORE_LOSSES: &[Check] = &[
    Check { name: "it joins again while others are lost, six times", run: leaving::joins_under_losses },
    Check { name: "of two conductors one works, and the other takes over", run: conductors::take_turns },
    Check {
        name: "a master becomes a worker by its labels, and a master again",
        run: leaving::gives_roles_away,
    },
    Check { name: "a master is cut off from the others, and comes back", run: losses::partition },
    Check { name: "a whole master loses its power, and comes back", run: losses::master },
    Check {
        name: "a master is given other addresses, and keeps its member of etcd at the new one",
        run: moved::master,
    },
    Check {
        name: "the Bootstrap node is given other addresses, and the others find all that it has there",
        run: moved::bootstrap,
    },
    Check {
        name: "a master is called otherwise, and keeps its member of etcd under the new name",
        run: renamed::master,
    },
];
const AFTERWARDS: &[Check] = &[
    Check { name: "every write that was acknowledged is there", run: load::nothing_is_lost },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    printer.data(&format!("seed {0}: --seed {0} kills at the same moments", options.seed));
    let lab = super::bare(options, SUITE.name, 3)?;
    walls::build(&lab)?;
    install::bootstrap(&lab, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    let checks = options.checks(LOSSES, MORE_LOSSES, AFTERWARDS);
    Ok(run_checks(&checks, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

fn listen(stage: &Stage) -> Result<()> {
    listening::as_documented(stage.lab.bootstrap()?, &Role::ALL)?;
    JOINING.iter().try_for_each(|name| {
        listening::as_documented(stage.machine(name)?, &[Role::Master, Role::Etcd, Role::Infra])
    })
}

fn writer(stage: &Stage) -> Result<&Machine> {
    stage.machine(WRITER)
}

/// All machines of the cluster.
fn machines(stage: &Stage) -> Result<Vec<&Machine>> {
    let joined = JOINING.iter().map(|name| stage.machine(name));
    [stage.lab.bootstrap().map_err(Into::into)].into_iter().chain(joined).collect()
}

fn joined(stage: &Stage) -> Result<()> {
    trace::remember(stage.machine(JOINING[0])?)?;
    joining::by_the_manual(stage)?;
    whole(stage)?;
    // What is called by hand on one master knows the others.
    changes_nothing(stage.lab.bootstrap()?, "state.apply metalk8s.node.neighbours")
}

/// Waits until all nodes are Ready, all members of etcd healthy, all agents answer, and all pods run.
fn whole(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    wait_until("all nodes", WHOLE, || {
        let nodes = kubectl_json(bootstrap, "get nodes").map_err(|error| format!("{error:#}"))?;
        let nodes = nodes["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = nodes.iter().filter(|node| condition(node, "Ready") == Some("True")).count();
        let expected = 1 + JOINING.len();
        if ready == expected { Ok(()) } else { Err(format!("{ready} of {expected} are Ready")) }
    })?;
    wait_until("all members of etcd", WHOLE, || etcd::healthy(stage).map_err(|error| format!("{error:#}")))?;
    wait_until("all agents", WHOLE, || {
        let output = in_master(stage, "salt '*' test.ping").map_err(|error| format!("{error:#}"))?;
        if output.success() { Ok(()) } else { Err(said(&output)) }
    })?;
    wait_for_pods(bootstrap)
}
