//! The look that an agent has without being asked.

use super::*;
use crate::{
    SOON,
    suite::cluster::{condition, kubectl_json},
};

const DROP_IN: &str = "/run/systemd/system/metalk8s-agent.service.d/often.conf";
const METRICS: &str = "/var/lib/metalk8s/metrics/metalk8s_drift.prom";

pub(super) fn tells(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    machine.run_checked(&format!(
        "set -e; start=$(sed -n 's/^ExecStart=//p' $(systemctl show --property FragmentPath --value metalk8s-agent.service)); \
         mkdir -p $(dirname {DROP_IN}); printf '[Service]\\nExecStart=\\nExecStart=%s --drift-interval 2\\n' \"$start\" > {DROP_IN}; \
         systemctl daemon-reload; systemctl restart metalk8s-agent.service"
    ))?;
    let seen = wait_told(machine, "False", "none", 0).and_then(|()| {
        change_file(machine)?;
        wait_told(machine, "True", "1 state", 1)?;
        let agent = kubectl_json(machine, &format!("get agent {} -n metalk8s-fleet", machine.name))?;
        ensure!(
            agent["status"]["drift"]["states"][0] == "crictl configuration",
            "{}",
            agent["status"]["drift"]
        );
        metalk8s(machine, &format!("plan --out {PLAN}"), 0)?;
        metalk8s(machine, &format!("apply {PLAN} --yes"), 0)?;
        wait_told(machine, "False", "none", 0)?;
        tells_only_news(machine)
    });
    machine.run_checked(&format!(
        "rm {DROP_IN}; systemctl daemon-reload; systemctl restart metalk8s-agent.service"
    ))?;
    seen?;
    none_left(machine)
}

/// Waits until the object, the list of nodes and the metrics say so.
fn wait_told(machine: &Machine, status: &str, listed: &str, states: u32) -> Result<()> {
    let look = || -> Result<()> {
        let agent = kubectl_json(machine, &format!("get agent {} -n metalk8s-fleet", machine.name))?;
        let found = condition(&agent, "Drifted");
        ensure!(found == Some(status), "the condition is {found:?}");
        let metrics = machine.run_checked(&format!("cat {METRICS}"))?;
        let line = format!("metalk8s_drift_states {states}");
        ensure!(metrics.lines().any(|found| found == line), "{metrics}");
        let nodes = metalk8s(machine, "node list", 0)?.stdout;
        ensure!(nodes.lines().any(|line| line.trim_end().ends_with(listed)), "{nodes}");
        Ok(())
    };
    wait_until("the agent to tell what it saw", SOON, || look().map_err(|error| format!("{error:#}")))?;
    Ok(())
}

/// Looks go on, and the object stays as it is.
fn tells_only_news(machine: &Machine) -> Result<()> {
    let agent = || kubectl_json(machine, &format!("get agent {} -n metalk8s-fleet", machine.name));
    let looked = || machine.run_checked(&format!("grep ^metalk8s_drift_checked {METRICS}"));
    let (before, first) = (agent()?, looked()?);
    wait_until("another look", SOON, || match looked() {
        Ok(now) if now != first => Ok(()),
        Ok(now) => Err(now),
        Err(error) => Err(error.to_string()),
    })?;
    let after = agent()?;
    let version = |agent: &Value| agent["metadata"]["resourceVersion"].clone();
    let told = |agent: &Value| [&agent["status"]["drift"], &agent["status"]["jobs"]].map(Value::to_string);
    ensure!(
        version(&before) == version(&after),
        "the object was changed from\n{:#?}\nto\n{:#?}",
        told(&before),
        told(&after)
    );
    Ok(())
}
