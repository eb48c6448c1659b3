//! What must hold on a machine that `bootstrap.sh` has made a cluster of.

use anyhow::{Result, bail, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::Role;
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{wait_for_node, wait_for_static_pods},
    listening, run_checks,
};
use crate::lab::Lab;

mod again;
mod authorities;
mod images;
mod mounted;
pub(super) mod moved;
pub(super) mod node_port;
pub(super) mod pod;
mod power;
mod reach;
mod secrets;
mod users;

/// Run by `metalk8s-lab suite install`.
pub const SUITE: Suite =
    Suite { name: "install", about: "a bootstrapped machine is a working cluster, and stays one", run };

const CHECKS: &[Check] = &[
    Check {
        name: "the node is Ready with the roles bootstrap, etcd, infra, master and its taints",
        run: node_is_ready,
    },
    Check {
        name: "all pods run, all their containers ready, and the API knows the static ones",
        run: pods_run,
    },
    Check { name: "every image of a pod and in the runtime has our registry's name", run: images::are_ours },
    Check { name: "an image of another registry cannot be pulled", run: images::others_are_refused },
    Check {
        name: "in a pod of metalk8s-utils names resolve, and Services answer",
        run: pod::resolves_and_connects,
    },
    Check { name: "`kubectl` works for root on the machine", run: reach::kubectl_of_root },
    Check {
        name: "`kubectl` works on this computer with what `./lab kubeconfig` prints",
        run: reach::kubectl_of_this_computer,
    },
    Check { name: "a request without a name is refused, but for health", run: reach::nobody_is_refused },
    Check { name: "a Secret is encrypted in etcd", run: secrets::are_encrypted },
    Check { name: "the audit log tells who made a Secret, and not what is in it", run: secrets::are_audited },
    Check {
        name: "each static pod runs as the user it should, and none but salt-master as root",
        run: users::run_the_static_pods,
    },
    Check {
        name: "keys, kubeconfigs and logs can be read by those who need them, and by nobody else",
        run: users::alone_read_their_files,
    },
    Check {
        name: "exactly the documented processes listen, where they should",
        run: |stage| listening::as_documented(stage.lab.bootstrap()?, &Role::ALL),
    },
    Check {
        name: "a NodePort answers on the workload plane, and not on the control plane",
        run: node_port::is_on_the_workload_plane,
    },
    Check {
        name: "a disk that is mounted is emptied where it is to be absent, and stays mounted",
        run: mounted::stays_and_is_emptied,
    },
    Check {
        name: "a sparse file becomes a block device once, and a file again, and another size is refused",
        run: mounted::a_file_is_a_block_device,
    },
    Check {
        name: "the keys of the roots leave the machine, which goes on signing, and issuing authorities are renewed",
        run: authorities::sign_without_the_roots,
    },
    Check { name: "a second bootstrap.sh changes nothing and restarts no pod", run: again::changes_nothing },
    Check { name: "`--dry-run` on the bootstrapped machine finds nothing to do", run: again::plans_nothing },
    Check { name: "`--dry-run` on a bare machine changes no file", run: again::plans_on_a_bare_machine },
    Check { name: "nothing has tried to leave the lab", run: nothing_leaves },
    Check { name: "after a reboot everything comes back by itself", run: power::reboot },
];
/// Only where all is asked for: the sample of the suite `survival` cuts the power of a Bootstrap node, too.
const MORE_CHECKS: &[Check] = &[
    Check { name: "after a power cut everything comes back by itself", run: power::cut },
    Check {
        name: "the machine is given other addresses, and its bootstrap has the cluster go on there",
        run: moved::goes_on,
    },
];
const AFTERWARDS: &[Check] =
    &[Check { name: "nothing has tried to leave the lab since", run: nothing_leaves }];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = Lab::find(&options.lab).map_err(Diagnosed::new)?;
    let checks = options.checks(CHECKS, MORE_CHECKS, AFTERWARDS);
    Ok(run_checks(&checks, &Stage::new(lab, options.archive.clone(), options), printer))
}

fn node_is_ready(stage: &Stage) -> Result<()> {
    wait_for_node(stage.lab.bootstrap()?)
}

fn pods_run(stage: &Stage) -> Result<()> {
    wait_for_static_pods(stage.lab.bootstrap()?)
}

/// The machines refuse and count what is sent elsewhere, from each boot on; see `outside.nft`.
pub(super) fn nothing_leaves(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let text = machine.run_checked("nft --json list counters table inet metalk8s-lab")?;
        let listed: Value = serde_json::from_str(&text)?;
        let counters: Vec<_> = listed["nftables"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("counter"))
            .collect();
        ensure!(!counters.is_empty(), "{}: nothing is counted", machine.name);
        for counter in counters {
            let Some(packets) = counter["packets"].as_u64() else { bail!("{counter} has no packets") };
            if packets > 0 {
                let who = machine.run_checked("nft list sets table inet metalk8s-lab")?;
                let name = &counter["name"];
                bail!("{}: {packets} packets refused by the counter {name}, of:\n{who}", machine.name);
            }
        }
    }
    Ok(())
}
