//! Six machines whose roles are spread as in a large cluster (TST-06), and spread otherwise afterwards. Each plane has
//! two ranges (NET-09), and a member of etcd has a file system of its own (PRE-10).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{SETTLE, kubectl, kubectl_json, said, wait_for_pods, wait_settled},
    expand::{deploy_node, in_master},
    install::{node_port, pod},
    listening, run_checks,
};
use crate::{Lab, SOON, install, wait_until};

mod applications;
mod by_sudo;
mod disk;
mod ranges;
mod roles;
mod wish;

use wish::{LAYOUT, MASTERS, OTHERWISE, Wish, nodes, otherwise};

/// Run by `metalk8s-lab suite layout`.
pub const SUITE: Suite = Suite {
    name: "layout",
    about: "six machines with the roles of a large cluster each run what is theirs, and work together",
    run,
};

/// How long machines that come together may take.
const TOGETHER: Duration = Duration::from_secs(900);

const CHECKS: &[Check] = &[
    Check {
        name: "an ext4 in a loop device, in the place of a disk, is mounted for etcd, and no pre-check minds",
        run: disk::is_mounted,
    },
    Check { name: "masters join one after the other, and all other machines at once", run: join },
    Check {
        name: "one of them was entered by a user who needs sudo, on a port of its own, and by nobody else",
        run: by_sudo::was_entered,
    },
    Check {
        name: "each plane has two ranges with nodes in both, which are known by the addresses that they have there",
        run: ranges::have_nodes,
    },
    Check {
        name: "a member of etcd has its data on the file system that was mounted for it, and it alone may read it",
        run: disk::has_the_data,
    },
    Check {
        name: "each node has its roles and taints, and runs the static pods of its roles alone",
        run: |stage| roles::run_their_own(stage, &nodes()),
    },
    Check {
        name: "applications run where no taint keeps them away, and nowhere else",
        run: applications::are_kept_away,
    },
    Check {
        name: "exactly the documented processes listen on each machine, where they should",
        run: |stage| listen(stage, &nodes()),
    },
    Check {
        name: "a NodePort answers on the workload plane of each machine, in both ranges, and on no control plane",
        run: node_port::is_on_the_workload_plane,
    },
    Check { name: "pods on every machine reach names and Services", run: reaches },
    Check { name: "deploying each of them again changes nothing", run: again },
    Check { name: "`salt '*' test.ping` is answered by all", run: answers },
    Check { name: "a master becomes a node for etcd alone, and a worker a master without etcd", run: change },
    Check {
        name: "each node has its new roles and taints, and runs the static pods of its roles alone",
        run: |stage| roles::run_their_own(stage, &otherwise()),
    },
    Check {
        name: "exactly the documented processes listen on each machine with its new roles",
        run: |stage| listen(stage, &otherwise()),
    },
    Check {
        name: "the API answers on each master, and etcd has its members where they shall be",
        run: roles::serve,
    },
    Check {
        name: "the member on a node for etcd alone still has its data on its file system",
        run: disk::has_the_data,
    },
    Check { name: "pods on every machine still reach names and Services", run: reaches },
    Check { name: "deploying each of them again with its new roles changes nothing", run: again },
    Check {
        name: "a member's node becomes a worker, and its file system stays mounted and is empty; a second time nothing changes",
        run: disk::is_emptied,
    },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bare(options, SUITE.name, 6)?;
    install::bootstrap_as(&lab, &ranges::configuration(&lab)?, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

fn join(stage: &Stage) -> Result<()> {
    by_sudo::let_in(stage.machine(by_sudo::NODE)?)?;
    LAYOUT.into_iter().try_for_each(|node| node.apply(stage))?;
    let (masters, others) = LAYOUT.split_at(MASTERS);
    for master in masters {
        let output = deploy_node(stage, master.name)?;
        ensure!(output.success(), "{}", said(&output));
    }
    let names: Vec<&str> = others.iter().map(|node| node.name).collect();
    let began = Instant::now();
    let deploy = format!("metalk8s node deploy --no-progress {}", names.join(" "));
    let output = stage.lab.bootstrap()?.run_for(&deploy, TOGETHER)?;
    ensure!(output.success(), "{}", said(&output));
    stage.note(format!("{} at once in {:.1} s", names.len(), began.elapsed().as_secs_f64()));
    wait_for_pods(stage.lab.bootstrap()?)
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn listen(stage: &Stage, nodes: &[Wish]) -> Result<()> {
    nodes.iter().try_for_each(|node| listening::as_documented(stage.machine(node.name)?, node.roles))
}

fn reaches(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    nodes().iter().try_for_each(|node| pod::resolves_and_connects_on(bootstrap, Some(node.name)))
}

fn again(stage: &Stage) -> Result<()> {
    for node in LAYOUT {
        let began = Instant::now();
        let output = deploy_node(stage, node.name)?;
        ensure!(output.success(), "{}", said(&output));
        let name = node.name;
        ensure!(!output.stdout.contains("changed="), "something changed on `{name}`: {}", said(&output));
        stage.note(format!("{name} {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

fn answers(stage: &Stage) -> Result<()> {
    wait_until("all agents", SOON, || {
        let output =
            in_master(stage, "salt '*' test.ping --out json --static").map_err(|error| error.to_string())?;
        let said: Value = serde_json::from_str(&output.stdout).map_err(|_| said(&output))?;
        match nodes().iter().all(|node| said[node.name] == true) {
            true => Ok(()),
            false => Err(said.to_string()),
        }
    })?;
    Ok(())
}

fn change(stage: &Stage) -> Result<()> {
    for node in OTHERWISE {
        node.apply(stage)?;
        let began = Instant::now();
        let output = deploy_node(stage, node.name)?;
        ensure!(output.success(), "{}", said(&output));
        stage.note(format!("{} {:.1} s", node.name, began.elapsed().as_secs_f64()));
    }
    wait_for_pods(stage.lab.bootstrap()?)
}
