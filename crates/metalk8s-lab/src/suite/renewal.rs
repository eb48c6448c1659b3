//! Certificates that live for minutes are renewed three times, while a client asks the API all the time.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{archive_folder, kubectl, said, wait_settled},
    run_checks,
};
use crate::{Lab, Machine, install, wait_until};

/// Run by `metalk8s-lab suite renewal`.
pub const SUITE: Suite = Suite {
    name: "renewal",
    about: "certificates that live for minutes are renewed, and nobody notices",
    run,
};

/// How long certificates live. They are backdated by 5 minutes, so that two thirds are over after 2 minutes and 20
/// seconds.
const LIFETIME: &str = "6m";
/// How often every certificate must be renewed.
const RENEWALS: usize = 3;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// The unit of the client, and where it tells.
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
    Check { name: "every certificate but the authorities' lives as long as configured", run: lives },
    Check {
        name: "every certificate is renewed three times, and no request of the API fails",
        run: renewals,
    },
    Check { name: "every certificate is good, and `salt '*' test.ping` answers", run: answers },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bare(options, SUITE.name, 1)?;
    let configuration = format!("{}certificates:\n  lifetime: {LIFETIME}\n", install::configuration(&lab));
    install::bootstrap_as(&lab, &configuration, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// The certificates of the machine that are renewed: their files, and from when to when they are valid.
fn renewed(machine: &Machine) -> Result<BTreeMap<String, (String, String)>> {
    let command = format!("{}/bin/metalk8s certificates --local --format json", archive_folder(machine)?);
    let text = machine.run_checked(&command)?;
    let nodes: Value = serde_json::from_str(&text).context("no JSON")?;
    let certificates = nodes[0]["certificates"].as_array().context("no certificates")?;
    let renewed = certificates.iter().filter(|certificate| !certificate["validity"]["renewal"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    renewed
        .map(|certificate| {
            let validity = &certificate["validity"];
            Ok((text(&certificate["file"])?, (text(&validity["begin"])?, text(&validity["end"])?)))
        })
        .collect()
}

fn lives(stage: &Stage) -> Result<()> {
    let found = renewed(stage.lab.bootstrap()?)?;
    ensure!(found.len() >= 19, "only {} certificates are renewed: {:?}", found.len(), found.keys());
    for (file, (begin, end)) in found {
        let moment = |text: &str| text.parse::<jiff::Timestamp>().with_context(|| format!("{file}: {text}"));
        let minutes = moment(&end)?.duration_since(moment(&begin)?).as_mins();
        ensure!(minutes == 11, "{file} is valid for {minutes} minutes, the backdating included");
    }
    Ok(())
}

fn renewals(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let containers = "crictl ps --quiet --name 'kube-apiserver|etcd' | sort";
    let before = machine.run_checked(containers)?;
    machine.write("/root/asks-the-api.sh", SCRIPT.as_bytes(), 0o755)?;
    machine.run_checked(&format!("systemd-run --unit {CLIENT} bash /root/asks-the-api.sh {TOLD}"))?;
    let mut seen: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let all_renewed = wait_until("three renewals of every certificate", PATIENCE, || {
        let now = renewed(machine).map_err(|error| format!("{error:#}"))?;
        for (file, (begin, _)) in now {
            let known = seen.entry(file).or_insert_with(|| (begin.clone(), 0));
            if known.0 != begin {
                *known = (begin, known.1 + 1);
            }
        }
        let late: Vec<_> = seen.iter().filter(|(_, (_, times))| *times < RENEWALS).collect();
        if late.is_empty() { Ok(()) } else { Err(format!("not yet: {late:?}")) }
    });
    machine.run_checked(&format!("systemctl stop {CLIENT}"))?;
    all_renewed?;
    let told = machine.run_checked(&format!("cat {TOLD}"))?;
    let (asked, failed) = told.trim().split_once(' ').context("the client has told nothing")?;
    let why = machine.run(&format!("tail --lines 5 {TOLD}.log"))?;
    ensure!(failed == "0", "{failed} of {asked} requests failed: {}", said(&why));
    let asked: u32 = asked.parse()?;
    ensure!(asked > 100, "only {asked} requests were made");
    stage.note(format!("{asked} requests"));
    let after = machine.run_checked(containers)?;
    ensure!(before == after, "an API server or etcd was restarted");
    Ok(())
}

fn answers(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let program = format!("{}/bin/metalk8s", archive_folder(machine)?);
    let output = machine.run(&format!("{program} certificates"))?;
    ensure!(output.success(), "metalk8s certificates: {}", said(&output));
    // The first connection after a renewal ends with it: the API server drops those of the old certificate
    // (client-go, transport.dynamicClientCert).
    wait_until("the answers of all agents", Duration::from_secs(60), || {
        let output = super::expand::in_master(stage, "salt '*' test.ping");
        let output = output.map_err(|error| format!("{error:#}"))?;
        let is_answered = output.stdout == format!("{}:\n    True\n", machine.name);
        if is_answered { Ok(()) } else { Err(said(&output)) }
    })?;
    wait_until("the log of a pod", Duration::from_secs(60), || {
        kubectl(machine, &format!("logs --namespace kube-system --tail 1 kube-apiserver-{}", machine.name))
            .map_err(|error| format!("{error:#}"))
    })?;
    Ok(())
}
