//! A master that is called otherwise (HOST-01 to HOST-06).

use std::time::Duration;

use anyhow::{Result, ensure};
use metalk8s_types::Role;

use super::{
    Stage, apply, deploy_node, etcd, in_master, kubectl, kubectl_json, load::silence_of, node_manifest, said,
    wait_until, whole,
};

/// Its name afterwards; its machine in the lab is called as before.
const NAME: &str = "renamed";
/// How long the controllers wait for a silent kubelet, and some time more.
const UNREADY: Duration = Duration::from_secs(120);

/// With the manual's commands, while a client writes. Its member of etcd stays one, under the new name.
pub(super) fn master(stage: &Stage) -> Result<()> {
    let (bootstrap, machine) = (stage.lab.bootstrap()?, stage.machine("node1")?);
    let former = &machine.name;
    let member = etcd::member_of(machine)?;
    silence_of(stage, "called otherwise", || {
        machine
            .run_checked(&format!("hostnamectl set-hostname {NAME}; systemctl restart systemd-hostnamed"))?;
        wait_until("the former node to be NotReady", UNREADY, || {
            let ready = r#"--output jsonpath='{.status.conditions[?(@.type=="Ready")].status}'"#;
            let told = kubectl(bootstrap, &format!("get node {former} {ready}"));
            match told.map_err(|error| format!("{error:#}"))?.as_str() {
                "Unknown" => Ok(()),
                other => Err(format!("it is {other}")),
            }
        })?;
        let roles = [Role::Master, Role::Etcd, Role::Infra];
        apply(stage, &node_manifest(stage, NAME, &machine.control.to_string(), &roles)?)?;
        kubectl(bootstrap, &format!("delete node {former}"))?;
        let output = in_master(stage, &format!("salt-key --yes -d {former}"))?;
        ensure!(output.success(), "{}", said(&output));
        let output = deploy_node(stage, NAME)?;
        ensure!(output.success(), "{}", said(&output));
        Ok(())
    })?;
    whole(stage)?;
    let (id, name) = etcd::member_of(machine)?;
    ensure!(id == member.0, "its member of etcd is another one");
    ensure!(name == NAME && member.1 == *former, "its member was `{}` and is `{name}`", member.1);
    let pods = kubectl_json(bootstrap, "get pods -n kube-system")?;
    let names = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    for pod in ["apiserver-proxy", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        ensure!(names.contains(&format!("{pod}-{NAME}").as_str()), "{pod} is not there: {names:?}");
        ensure!(!names.contains(&format!("{pod}-{former}").as_str()), "{pod} has a former pod: {names:?}");
    }
    Ok(())
}
