//! What etcd says of itself, with the commands of the manual.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{JOINING, Machine, Stage, machines};

/// etcdctl in the container of a machine's own member; it needs no API.
fn etcdctl(machine: &Machine, words: &str) -> Result<Value> {
    let pki = "/etc/kubernetes/pki/etcd";
    let printed = machine.run_checked(&format!(
        "timeout 20 crictl exec \"$(crictl ps --quiet --name '^etcd$' | head -n 1)\" etcdctl \
         --endpoints https://127.0.0.1:2379 --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt \
         --key {pki}/healthcheck-client.key --write-out json {words}"
    ))?;
    serde_json::from_str(&printed).with_context(|| format!("etcdctl {words}: {printed}"))
}

/// Whether every machine has a member that answers, has a vote, and knows all others.
pub(super) fn healthy(stage: &Stage) -> Result<()> {
    for machine in machines(stage)? {
        etcdctl(machine, "endpoint health").with_context(|| machine.name.clone())?;
        let list = etcdctl(machine, "member list")?;
        let members = list["members"].as_array().context("no list of members")?;
        ensure!(members.len() == 1 + JOINING.len(), "`{}` knows {} members", machine.name, members.len());
        let learner = members.iter().find(|member| member["isLearner"] == true);
        ensure!(learner.is_none(), "a member has no vote: {learner:?}");
    }
    Ok(())
}

/// Names of the members that a machine's own member knows.
pub(super) fn peers(machine: &Machine) -> Result<Vec<String>> {
    let list = etcdctl(machine, "member list")?;
    let members = list["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(members.iter().map(|member| member["name"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Id and name of a machine's own member.
pub(super) fn member_of(machine: &Machine) -> Result<(u64, String)> {
    let status = etcdctl(machine, "endpoint status")?;
    let id = status[0]["Status"]["header"]["member_id"].as_u64().context("no id of a member")?;
    let list = etcdctl(machine, "member list")?;
    let members = list["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = members.iter().find(|member| member["ID"].as_u64() == Some(id));
    let name = own.and_then(|member| member["name"].as_str()).context("no such member in the list")?;
    Ok((id, name.to_owned()))
}

/// The machine whose member leads.
pub(super) fn leader(stage: &Stage) -> Result<&Machine> {
    for machine in machines(stage)? {
        let Ok(status) = etcdctl(machine, "endpoint status") else { continue };
        let status = &status[0]["Status"];
        let own = &status["header"]["member_id"];
        if own.is_u64() && *own == status["leader"] {
            return Ok(machine);
        }
    }
    anyhow::bail!("no member of etcd says that it leads")
}
