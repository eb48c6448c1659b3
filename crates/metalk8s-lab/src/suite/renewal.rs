//! Certificates of three masters that live for minutes are renewed three times, and roots that seem to be nine years
//! old once, while a client on each asks the API all the time.

mod roots;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{kubectl, said, wait_settled},
    expand::{in_master, masters_join},
    run_checks,
};
use crate::{Lab, Machine, SOON, install, wait_until};

/// Run by `metalk8s-lab suite renewal`.
pub const SUITE: Suite = Suite {
    name: "renewal",
    about: "certificates of three masters that live for minutes are renewed, and nobody notices",
    run,
};

/// The machines that join.
const JOINING: [&str; 2] = ["node1", "node2"];
/// How long certificates live. They are backdated by 5 minutes, so that two thirds are over after 2 minutes and 20
/// seconds.
const LIFETIME: &str = "6m";
/// How often every certificate must be renewed.
const RENEWALS: usize = 3;
/// How often every authority that signs must be: they live three times as long.
const RENEWALS_OF_ISSUING: usize = 1;
/// In the path of every certificate of such an authority.
const ISSUING: &str = "issuing-ca";
/// How many certificates the Bootstrap node and another master have at least, without the roots.
const BOOTSTRAP: usize = 23;
const MASTER: usize = 15;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// The unit of a client, and where it tells.
const CLIENT: &str = "asks-the-api";
const TOLD: &str = "/root/asks-the-api";
/// Asks as the administrator, whose kubeconfig is renewed, and over a new connection each time.
const SCRIPT: &str = r#"
asked=0 failed=0
while true; do
    if ! said=$(kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 30s get --raw /api/v1/namespaces/default 2>&1); then
        failed=$((failed + 1))
        echo "$(date --iso-8601=seconds) $said" >> "$1.log"
    fi
    asked=$((asked + 1))
    echo "$asked $failed" > "$1.new" && mv "$1.new" "$1"
    sleep 0.2
done
"#;

const CHECKS: &[Check] = &[
    Check { name: "two machines become masters with etcd, one after the other", run: joined },
    Check { name: "every certificate but the roots' lives as long as configured", run: lives },
    Check {
        name: "certificates are renewed three times, all authorities too, and no request of the API fails",
        run: renewals,
    },
    Check { name: "masters that are deployed again take the renewed roots", run: taken },
    Check { name: "every certificate is good, and `salt '*' test.ping` answers", run: answers },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bare(options, SUITE.name, 3)?;
    let configuration = format!("{}certificates:\n  lifetime: {LIFETIME}\n", install::configuration(&lab));
    install::bootstrap_as(&lab, &configuration, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

fn joined(stage: &Stage) -> Result<()> {
    masters_join(stage, &JOINING)?;
    wait_settled(stage.lab.bootstrap()?)
}

/// Etcd and the API server of each are begun anew, one after the other: they read roots only then. Meanwhile its agent
/// and its kubelet go on by the API servers of the others.
fn taken(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    for node in JOINING {
        bootstrap.run_checked(&format!("metalk8s node deploy --no-progress {node}"))?;
        let drift = bootstrap.run(&format!("metalk8s drift --node {node}"))?;
        ensure!(drift.success(), "{node} is not as it should be: {}", drift.stdout);
    }
    wait_settled(bootstrap)
}

/// The certificates of the machine: their files, and from when to when they are valid.
fn certificates(machine: &Machine) -> Result<BTreeMap<String, (String, String)>> {
    let text = machine.run_checked("metalk8s certificates --local --format json")?;
    let nodes: Value = serde_json::from_str(&text).context("no JSON")?;
    let certificates = nodes[0]["certificates"].as_array().context("no certificates")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    certificates
        .iter()
        .map(|certificate| {
            let validity = &certificate["validity"];
            Ok((text(&certificate["file"])?, (text(&validity["begin"])?, text(&validity["end"])?)))
        })
        .collect()
}

/// Those that live by the configuration: all but the roots.
fn renewed(machine: &Machine) -> Result<BTreeMap<String, (String, String)>> {
    let mut found = certificates(machine)?;
    found.retain(|file, _| !roots::ROOTS.iter().any(|root| root.0 == file));
    Ok(found)
}

fn lives(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let found = renewed(machine)?;
        let files: Vec<_> = found.keys().collect();
        let expected = if JOINING.contains(&machine.name.as_str()) { MASTER } else { BOOTSTRAP };
        ensure!(found.len() >= expected, "{}: only {} are renewed: {files:?}", machine.name, found.len());
        for (file, (begin, end)) in &found {
            let moment =
                |text: &str| text.parse::<jiff::Timestamp>().with_context(|| format!("{file}: {text}"));
            let minutes = moment(end)?.duration_since(moment(begin)?).as_mins();
            let expected = if file.contains(ISSUING) { 23 } else { 11 };
            ensure!(minutes == expected, "{file} is valid for {minutes} minutes, the backdating included");
        }
    }
    Ok(())
}

/// Each container of an API server or of etcd, with its machine.
fn servers(stage: &Stage) -> Result<Vec<String>> {
    let ask =
        |machine: &Machine| machine.run_checked("crictl ps --quiet --name 'kube-apiserver|etcd' | sort");
    let of_machine = |machine: &Machine| Ok(format!("{}: {}", machine.name, ask(machine)?));
    stage.lab.machines.iter().map(of_machine).collect()
}

fn renewals(stage: &Stage) -> Result<()> {
    let machines = &stage.lab.machines;
    let before = servers(stage)?;
    for machine in machines {
        machine.write("/root/asks-the-api.sh", SCRIPT.as_bytes(), 0o755)?;
        machine.run_checked(&format!("systemd-run --unit {CLIENT} bash /root/asks-the-api.sh {TOLD}"))?;
    }
    roots::grow_old(stage.lab.bootstrap()?)?;
    let mut seen: BTreeMap<(&str, String), (String, usize)> = BTreeMap::new();
    let all_renewed = wait_until("three renewals of every certificate", PATIENCE, || {
        for machine in machines {
            let now = renewed(machine).map_err(|error| format!("{}: {error:#}", machine.name))?;
            for (file, (begin, _)) in now {
                let known = seen.entry((&machine.name, file)).or_insert_with(|| (begin.clone(), 0));
                if known.0 != begin {
                    *known = (begin, known.1 + 1);
                }
            }
        }
        let wanted = |file: &str| if file.contains(ISSUING) { RENEWALS_OF_ISSUING } else { RENEWALS };
        let late: Vec<_> = seen.iter().filter(|((_, file), (_, times))| *times < wanted(file)).collect();
        if !late.is_empty() {
            return Err(format!("not yet: {late:?}"));
        }
        roots::are_young(machines)
    });
    for machine in machines {
        machine.run_checked(&format!("systemctl stop {CLIENT}"))?;
    }
    all_renewed?;
    stage.note(format!("{} certificates", seen.len()));
    for machine in machines {
        let told = machine.run_checked(&format!("cat {TOLD}"))?;
        let (asked, failed) = told.trim().split_once(' ').context("the client has told nothing")?;
        let why = machine.run(&format!("tail --lines 5 {TOLD}.log"))?;
        ensure!(failed == "0", "{}: {failed} of {asked} requests failed: {}", machine.name, said(&why));
        let asked: u32 = asked.parse()?;
        ensure!(asked > 100, "only {asked} requests were made on {}", machine.name);
        stage.note(format!("{asked} requests on {}", machine.name));
    }
    let after = servers(stage)?;
    ensure!(before == after, "an API server or etcd was restarted: {before:?}, then {after:?}");
    Ok(())
}

fn answers(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let output = machine.run("metalk8s certificates --local")?;
        ensure!(output.success(), "metalk8s certificates on {}: {}", machine.name, said(&output));
    }
    // The first connection after a renewal ends with it: the API server drops those of the old certificate
    // (client-go, transport.dynamicClientCert).
    wait_until("the answers of all agents", SOON, || {
        let output = in_master(stage, "salt '*' test.ping").map_err(|error| format!("{error:#}"))?;
        let answers = output.stdout.matches("    True\n").count();
        if output.success() && answers == stage.lab.machines.len() { Ok(()) } else { Err(said(&output)) }
    })?;
    let bootstrap = stage.lab.bootstrap()?;
    for machine in &stage.lab.machines {
        wait_until("the log of a pod", SOON, || {
            let pod = format!("kube-apiserver-{}", machine.name);
            kubectl(bootstrap, &format!("logs --namespace kube-system --tail 1 {pod}"))
                .map_err(|error| format!("{error:#}"))
        })?;
    }
    Ok(())
}
