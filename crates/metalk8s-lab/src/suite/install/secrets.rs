//! What becomes of a Secret on its way to the disk.

use anyhow::{Result, ensure};

use crate::{
    machine::Machine,
    suite::{Stage, cluster::kubectl},
};

const NAME: &str = "suite-secret";
/// Nobody else writes this word.
const VALUE: &str = "plainly-to-be-found-Zm9vYmFy";
const AUDIT_LOG: &str = "/var/log/kubernetes/audit.log";

pub(super) fn are_encrypted(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    with_secret(machine, || {
        let pki = metalk8s_types::paths::ETCD_PKI;
        let bytes = kubectl(
            machine,
            &format!(
                "exec --namespace kube-system etcd-{} -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert={pki}/ca.crt \
                 --cert={pki}/healthcheck-client.crt --key={pki}/healthcheck-client.key \
                 get /registry/secrets/default/{NAME} --print-value-only",
                machine.name
            ),
        )?;
        ensure!(!bytes.is_empty(), "etcd does not hold it");
        ensure!(
            bytes.starts_with("k8s:enc:"),
            "it begins with {:?}",
            &bytes.chars().take(20).collect::<String>()
        );
        ensure!(!bytes.contains(VALUE), "its value can be read");
        let provider: String = bytes.split(':').take(5).collect::<Vec<_>>().join(":");
        stage.note(provider);
        Ok(())
    })
}

pub(super) fn are_audited(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    with_secret(machine, || {
        let lines = machine.run_checked(&format!(
            "grep -F '\"verb\":\"create\"' {AUDIT_LOG} | grep -F '\"name\":\"{NAME}\"' | tail -n 1"
        ))?;
        ensure!(lines.contains("\"user\""), "the log does not tell of it: {lines}");
        let told = machine.run(&format!(
            "grep -Fc {VALUE} {AUDIT_LOG}; grep -Fc \"$(printf %s {VALUE} | base64)\" {AUDIT_LOG}"
        ))?;
        ensure!(told.stdout == "0\n0\n", "its value stands in the log: {}", told.stdout);
        let mode = machine.run_checked(&format!("stat --format %a {AUDIT_LOG}"))?;
        ensure!(mode == "600", "the log has the mode {mode}");
        Ok(())
    })
}

fn with_secret(machine: &Machine, look: impl FnOnce() -> Result<()>) -> Result<()> {
    let remove = format!("delete secret {NAME} --namespace default --ignore-not-found");
    kubectl(machine, &remove)?;
    kubectl(
        machine,
        &format!("create secret generic {NAME} --namespace default --from-literal=word={VALUE}"),
    )?;
    let result = look();
    // The error of the look is the one to be told.
    let removed = kubectl(machine, &remove);
    result.and(removed.map(drop))
}
