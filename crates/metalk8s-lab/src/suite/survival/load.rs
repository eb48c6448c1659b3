//! A client that writes all the time, and remembers what was acknowledged and when.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;

use super::{Stage, kubectl, wait_until, writer};
use crate::SOON;

const NAMESPACE: &str = "writes";
/// Where the client remembers: number of a write and time of its acknowledgement, in milliseconds, a line each.
const ACKNOWLEDGED: &str = "/root/acknowledged";

/// Writes one object after the other, each until it is there. A write whose answer was lost is found to exist.
const CLIENT: &str = r#"#!/bin/bash
number=0
while true; do
    object='{"metadata": {"name": "write-'$number'"}, "data": {"number": "'$number'"}}'
    status=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 --config /root/writer.conf \
        --header 'Content-Type: application/json' --data "$object" \
        https://127.0.0.1:7443/api/v1/namespaces/writes/configmaps)
    if [[ $status == 201 || $status == 409 ]]; then
        echo "$number $(date +%s%3N)" >> /root/acknowledged
        number=$((number + 1))
    else
        echo "$(date +%T.%3N) $number $status" >> /root/refused
    fi
    sleep 0.1
done
"#;

/// Its account may do nothing else; its token is in a file, as the list of processes is everybody's.
pub(super) fn begins(stage: &Stage) -> Result<()> {
    let (bootstrap, writer) = (stage.lab.bootstrap()?, writer(stage)?);
    kubectl(bootstrap, &format!("create namespace {NAMESPACE}"))?;
    kubectl(bootstrap, &format!("create serviceaccount writer -n {NAMESPACE}"))?;
    kubectl(bootstrap, &format!("create role writer -n {NAMESPACE} --verb create --resource configmaps"))?;
    let account = format!("{NAMESPACE}:writer");
    kubectl(
        bootstrap,
        &format!("create rolebinding writer -n {NAMESPACE} --role writer --serviceaccount {account}"),
    )?;
    let token = kubectl(bootstrap, &format!("create token writer -n {NAMESPACE} --duration 8h"))?;
    let settings = format!(
        "cacert = \"{}/ca.crt\"\nheader = \"Authorization: Bearer {}\"\n",
        paths::KUBERNETES_PKI,
        token.trim()
    );
    writer.write("/root/writer.conf", settings.as_bytes(), 0o600)?;
    writer.write("/root/writer", CLIENT.as_bytes(), 0o755)?;
    writer.run_checked("systemd-run --quiet --unit writer /root/writer")?;
    wait_until("the first acknowledged writes", SOON, || {
        let count = moments(stage).map_err(|error| format!("{error:#}"))?.len();
        if count >= 10 { Ok(()) } else { Err(format!("there are {count}")) }
    })?;
    Ok(())
}

/// When writes were acknowledged, in milliseconds.
pub(super) fn moments(stage: &Stage) -> Result<Vec<u64>> {
    let lines = writer(stage)?.run_checked(&format!("cat {ACKNOWLEDGED}"))?;
    let moment = |line: &str| line.split_once(' ')?.1.parse().ok();
    Ok(lines.lines().filter_map(moment).collect())
}

/// Does something, waits until writes are acknowledged afterwards, and notes the longest time in which none was.
pub(super) fn silence_of(stage: &Stage, what: &str, disturb: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = moments(stage)?.len();
    disturb()?;
    let after = moments(stage)?.len();
    let mut all = Vec::new();
    wait_until("further acknowledged writes", SOON, || {
        all = moments(stage).map_err(|error| format!("{error:#}"))?;
        if all.len() > after + 5 {
            Ok(())
        } else {
            Err(format!("{} since it was done", all.len().saturating_sub(after)))
        }
    })?;
    let longest = longest_gap(&all[before.saturating_sub(1)..]);
    stage.note(format!("{what}: {:.1} s without a write", Duration::from_millis(longest).as_secs_f64()));
    Ok(())
}

/// In the unit of its moments.
fn longest_gap(moments: &[u64]) -> u64 {
    moments.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
}

pub(super) fn nothing_is_lost(stage: &Stage) -> Result<()> {
    let (bootstrap, writer) = (stage.lab.bootstrap()?, writer(stage)?);
    writer.run_checked("systemctl stop writer")?;
    let acknowledged = writer.run_checked(&format!("cut -d ' ' -f 1 {ACKNOWLEDGED}"))?;
    let there = kubectl(bootstrap, &format!("get configmaps -n {NAMESPACE} --output name"))?;
    let there: BTreeSet<&str> =
        there.lines().filter_map(|line| line.strip_prefix("configmap/write-")).collect();
    let lost: Vec<&str> = acknowledged.lines().filter(|number| !there.contains(number)).collect();
    ensure!(lost.is_empty(), "these were acknowledged and are not there: {}", lost.join(", "));
    let count = acknowledged.lines().count();
    let all = moments(stage)?;
    let (first, last) = (all.first().context("no write")?, all.last().context("no write")?);
    let seconds = (last - first) / 1000;
    stage.note(format!("{count} writes in {seconds} s, longest pause {} ms", longest_gap(&all)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::longest_gap;

    #[test]
    fn the_longest_gap_lies_between_two_neighbours() {
        assert_eq!(longest_gap(&[10, 20, 70, 80]), 50);
        assert_eq!(longest_gap(&[10]), 0);
        assert_eq!(longest_gap(&[]), 0);
    }
}
