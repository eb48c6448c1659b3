//! Six machines whose roles are spread as in a large cluster (TST-06).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Printer;
use metalk8s_types::Role;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{kubectl_json, said, wait_for_pods},
    expand::{apply, deploy_node, in_master, node_manifest},
    install::pod,
    listening, run_checks,
};
use crate::{Lab, wait_until};

/// Run by `metalk8s-lab suite layout`.
pub const SUITE: Suite = Suite {
    name: "layout",
    about: "six machines with the roles of a large cluster each run what is theirs, and work together",
    run,
};

/// The roles of each machine but the Bootstrap node, in the order in which they join.
const LAYOUT: [(&str, &[Role]); 5] = [
    ("node1", &[Role::Etcd, Role::Master]),
    ("node2", &[Role::Etcd, Role::Master, Role::Node]),
    ("node3", &[Role::Node, Role::Infra]),
    ("node4", &[Role::Node]),
    ("node5", &[Role::Infra]),
];
/// How many of them are masters, and join one after the other; the others come together.
const MASTERS: usize = 2;
/// How long machines that come together may take.
const TOGETHER: Duration = Duration::from_secs(900);

/// Static pods, and the role that brings each.
const STATIC_PODS: [(&str, Option<Role>); 7] = [
    ("apiserver-proxy", None),
    ("etcd", Some(Role::Etcd)),
    ("kube-apiserver", Some(Role::Master)),
    ("kube-controller-manager", Some(Role::Master)),
    ("kube-scheduler", Some(Role::Master)),
    ("repositories", Some(Role::Bootstrap)),
    ("salt-master", Some(Role::Bootstrap)),
];

const CHECKS: &[Check] = &[
    Check { name: "masters join one after the other, and all other machines at once", run: join },
    Check { name: "each node has its roles, and runs the static pods of these alone", run: runs_its_own },
    Check { name: "exactly the documented processes listen on each machine, where they should", run: listen },
    Check { name: "pods on every machine reach names and Services", run: reaches },
    Check { name: "deploying each of them again changes nothing", run: again },
    Check { name: "`salt '*' test.ping` is answered by all", run: answers },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bootstrapped(options, SUITE.name, 6)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// Every node with its roles, the Bootstrap node first.
fn nodes() -> impl Iterator<Item = (&'static str, &'static [Role])> {
    const BOOTSTRAP: &[Role] = &[Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master];
    [("bootstrap", BOOTSTRAP)].into_iter().chain(LAYOUT)
}

fn join(stage: &Stage) -> Result<()> {
    for (name, roles) in LAYOUT {
        let host = stage.machine(name)?.control.to_string();
        apply(stage, &node_manifest(stage, name, &host, roles)?)?;
    }
    let (masters, others) = LAYOUT.split_at(MASTERS);
    for (name, _) in masters {
        let output = deploy_node(stage, name)?;
        ensure!(output.success(), "{}", said(&output));
    }
    let names: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
    let began = Instant::now();
    let deploy = format!("metalk8s node deploy --no-progress {}", names.join(" "));
    let output = stage.lab.bootstrap()?.run_for(&deploy, TOGETHER)?;
    ensure!(output.success(), "{}", said(&output));
    stage.note(format!("{} at once in {:.1} s", names.len(), began.elapsed().as_secs_f64()));
    wait_for_pods(stage.lab.bootstrap()?)
}

fn runs_its_own(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    for (name, roles) in nodes() {
        let node = kubectl_json(bootstrap, &format!("get node {name}"))?;
        let labels = node["metadata"]["labels"].as_object().context("it has no labels")?;
        for role in Role::ALL {
            let (has, shall) = (labels.contains_key(&role.key()), roles.contains(&role));
            ensure!(has == shall, "`{name}` has the role {}: {has}", role.name());
        }
        let pods = kubectl_json(
            bootstrap,
            &format!("get pods -n kube-system --field-selector spec.nodeName={name}"),
        )?;
        let pods = pods["items"].as_array().context("there is no list of pods")?;
        let mirrored = |pod: &&serde_json::Value| {
            pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string()
        };
        let found: BTreeSet<String> = pods
            .iter()
            .filter(mirrored)
            .map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        let own = |(_, role): &&(&str, Option<Role>)| role.is_none_or(|role| roles.contains(&role));
        let expected: BTreeSet<String> =
            STATIC_PODS.iter().filter(own).map(|(pod, _)| format!("{pod}-{name}")).collect();
        ensure!(found == expected, "`{name}` runs {found:?}, and should run {expected:?}");
    }
    Ok(())
}

fn listen(stage: &Stage) -> Result<()> {
    nodes().try_for_each(|(name, roles)| listening::as_documented(stage.machine(name)?, roles))
}

fn reaches(stage: &Stage) -> Result<()> {
    nodes().try_for_each(|(name, _)| pod::resolves_and_connects_on(stage.lab.bootstrap()?, Some(name)))
}

fn again(stage: &Stage) -> Result<()> {
    for (name, _) in LAYOUT {
        let began = Instant::now();
        let output = deploy_node(stage, name)?;
        ensure!(output.success(), "{}", said(&output));
        ensure!(!output.stdout.contains("changed="), "something changed on `{name}`: {}", said(&output));
        stage.note(format!("{name} {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

fn answers(stage: &Stage) -> Result<()> {
    wait_until("all agents", Duration::from_secs(60), || {
        let output =
            in_master(stage, "salt '*' test.ping --out json --static").map_err(|error| error.to_string())?;
        let said: serde_json::Value = serde_json::from_str(&output.stdout).map_err(|_| said(&output))?;
        match nodes().all(|(name, _)| said[name] == true) {
            true => Ok(()),
            false => Err(said.to_string()),
        }
    })?;
    Ok(())
}
