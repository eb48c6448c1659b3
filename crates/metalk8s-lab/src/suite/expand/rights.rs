//! What an agent may do, tried with its own certificate.

use anyhow::{Result, ensure};
use metalk8s_types::paths;

use super::{NODE, Stage, kubectl_json, node_machine, said, wait_until};
use std::time::Duration;

/// Runs kubectl as the agent of the node; tells whether it was allowed.
fn as_agent(stage: &Stage, command: &str) -> Result<bool> {
    let output =
        node_machine(stage)?.run(&format!("kubectl --kubeconfig {} {command}", paths::AGENT_KUBECONFIG))?;
    let is_forbidden = output.stderr.contains("Forbidden") || output.stderr.contains("forbidden");
    ensure!(output.success() || is_forbidden, "kubectl {command}: {}", said(&output));
    Ok(output.success())
}

pub(super) fn of_an_agent(stage: &Stage) -> Result<()> {
    let other = &stage.lab.bootstrap()?.name;
    let merge = |name: &str, part: &str, patch: &str| {
        format!("patch agent {name} -n metalk8s-fleet {part} --type merge --patch '{patch}'")
    };
    let allowed = [
        format!("get agent {NODE} -n metalk8s-fleet"),
        merge(NODE, "--subresource status", r#"{"status": {}}"#),
        "get secret settings -n metalk8s-fleet".to_owned(),
    ];
    for command in &allowed {
        ensure!(as_agent(stage, command)?, "it may not `{command}`");
    }
    let forbidden = [
        format!("get agent {other} -n metalk8s-fleet"),
        "get agents -n metalk8s-fleet".to_owned(),
        merge(NODE, "", r#"{"spec": {"roles": ["master"]}}"#),
        merge(other, "", r#"{"spec": {"version": "1"}}"#),
        merge(other, "--subresource status", r#"{"status": {}}"#),
        format!("delete agent {NODE} -n metalk8s-fleet"),
        "get runs -n metalk8s-fleet".to_owned(),
        "get secrets -n metalk8s-fleet".to_owned(),
        "get secrets -n kube-system".to_owned(),
        "get nodes".to_owned(),
        "get pods --all-namespaces".to_owned(),
        "get csr".to_owned(),
        "get configmaps -n kube-system".to_owned(),
    ];
    for command in &forbidden {
        ensure!(!as_agent(stage, command)?, "it may `{command}`");
    }
    Ok(())
}

/// A request for the name of the administrator, and one for another node, are denied with the reason.
pub(super) fn of_a_request(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let bootstrap = stage.lab.bootstrap()?;
    for (name, subject) in [
        ("as-admin", "/O=system:masters/CN=kubernetes-admin"),
        ("as-other", "/O=system:nodes/CN=system:node:bootstrap"),
        ("as-conductor", "/CN=metalk8s:conductor"),
    ] {
        machine.run_checked(&format!(
            "set -e; cd /root; openssl ecparam -name prime256v1 -genkey -noout -out k.pem; \
             openssl req -new -key k.pem -subj {subject} -out r.pem; \
             printf 'apiVersion: certificates.k8s.io/v1\\nkind: CertificateSigningRequest\\nmetadata: {{name: {name}}}\\n\
             spec: {{signerName: metalk8s.scality.com/kubernetes, usages: [digital signature, client auth], request: %s}}\\n' \
             $(base64 -w0 r.pem) > r.yaml; kubectl --kubeconfig {} create -f r.yaml",
            paths::AGENT_KUBECONFIG
        ))?;
        wait_until("the decision", Duration::from_secs(30), || {
            let request =
                kubectl_json(bootstrap, &format!("get csr {name}")).map_err(|error| error.to_string())?;
            let condition = &request["status"]["conditions"][0];
            let is_denied = condition["type"] == "Denied" && request["status"]["certificate"].is_null();
            if is_denied { Ok(()) } else { Err(format!("{}", request["status"])) }
        })?;
    }
    Ok(())
}
