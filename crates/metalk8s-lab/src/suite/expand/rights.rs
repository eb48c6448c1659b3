//! What an agent may do, tried with its own certificate.

use anyhow::{Result, ensure};
use metalk8s_types::{
    fleet::{GROUP, NAMESPACE, SETTINGS},
    paths,
};
use serde_json::{Value, json};

use super::{NODE, Stage, kubectl_json, node_machine, said, wait_until};
use crate::{Output, SOON};

/// The name of what it tries to make, and of what it tries to put into what is there.
const MARK: &str = "tried-by-an-agent";

/// Runs kubectl as the agent of the node, which is allowed that or not.
fn as_agent(stage: &Stage, command: &str) -> Result<Output> {
    let output =
        node_machine(stage)?.run(&format!("kubectl --kubeconfig {} {command}", paths::AGENT_KUBECONFIG))?;
    let is_forbidden = output.stderr.contains("Forbidden") || output.stderr.contains("forbidden");
    ensure!(output.success() || is_forbidden, "kubectl {command}: {}", said(&output));
    Ok(output)
}

pub(super) fn of_an_agent(stage: &Stage) -> Result<()> {
    let other = &stage.lab.bootstrap()?.name;
    let merge = |name: &str, part: &str, patch: &str| {
        format!("patch agent {name} -n metalk8s-fleet {part} --type merge --patch '{patch}'")
    };
    let allowed = [
        format!("get agent {NODE} -n metalk8s-fleet"),
        merge(NODE, "--subresource status", r#"{"status": {}}"#),
        format!("get secret {SETTINGS} -n {NAMESPACE}"),
    ];
    for command in &allowed {
        ensure!(as_agent(stage, command)?.success(), "it may not `{command}`");
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
        "get secret other -n metalk8s-fleet".to_owned(),
        "get secrets -n kube-system".to_owned(),
        "get nodes".to_owned(),
        "get pods --all-namespaces".to_owned(),
        "get csr".to_owned(),
        "get configmaps -n kube-system".to_owned(),
    ];
    for command in &forbidden {
        ensure!(!as_agent(stage, command)?.success(), "it may `{command}`");
    }
    for (verb, command) in by_their_verbs(other) {
        let output = as_agent(stage, &command)?;
        ensure!(!output.success(), "it may `{command}`");
        let is_told = output.stderr.contains(&format!("cannot {verb} resource"));
        ensure!(is_told, "it is not `{verb}` that is refused of `{command}`: {}", said(&output));
    }
    Ok(())
}

/// Requests that are refused for what they would do, as kubectl reads nothing before.
fn by_their_verbs(other: &str) -> Vec<(&'static str, String)> {
    let fleet = format!("{GROUP}/v1alpha1");
    let agents = format!("/apis/{fleet}/namespaces/{NAMESPACE}/agents");
    let procedure = json!({"name": "RemoveNode", "node": other});
    let new_agent = object(&fleet, "Agent", MARK, json!({"spec": {"version": "1", "roles": ["node"]}}));
    let new_run = object(&fleet, "Run", MARK, json!({"spec": {"procedure": procedure, "version": "1"}}));
    let patched = [
        object(&fleet, "Agent", other, json!({"spec": {"version": "1"}})),
        object(&fleet, "Run", MARK, json!({"spec": {"cancelled": true}})),
        object("v1", "Secret", SETTINGS, json!({"stringData": {MARK: "true"}})),
        object("v1", "Node", other, json!({"metadata": {"labels": {MARK: "true"}}})),
        object("v1", "Node", NODE, json!({"metadata": {"labels": {MARK: "true"}}})),
        object(
            "rbac.authorization.k8s.io/v1",
            "Role",
            &format!("agent-{NODE}"),
            json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        ),
    ];
    let mut commands = vec![
        ("create", sent("create", &new_agent)),
        ("create", sent("create", &new_run)),
        // Were it allowed, nothing would be deleted all the same.
        ("deletecollection", format!("delete --raw '{agents}?dryRun=All'")),
        ("watch", format!("get --raw '{agents}?watch=true&timeoutSeconds=2'")),
    ];
    commands.extend(patched.iter().map(|object| ("patch", sent("apply --server-side", object))));
    commands
}

/// A Node, or an object of the fleet's namespace, with what makes it one.
fn object(version: &str, kind: &str, name: &str, mut object: Value) -> Value {
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = name.into();
    if kind != "Node" {
        object["metadata"]["namespace"] = NAMESPACE.into();
    }
    object
}

fn sent(words: &str, object: &Value) -> String {
    format!("{words} --validate=false --filename - <<'END'\n{object}\nEND")
}

/// A request for the name of the administrator, and those for another node and its agent, are denied.
pub(super) fn of_a_request(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let bootstrap = stage.lab.bootstrap()?;
    for (name, subject) in [
        ("as-admin", "/O=system:masters/CN=kubernetes-admin"),
        ("as-other", "/O=system:nodes/CN=system:node:bootstrap"),
        ("as-other-agent", "/O=metalk8s:agents/CN=metalk8s:agent:bootstrap"),
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
        wait_until("the decision", SOON, || {
            let request =
                kubectl_json(bootstrap, &format!("get csr {name}")).map_err(|error| error.to_string())?;
            let condition = &request["status"]["conditions"][0];
            let is_denied = condition["type"] == "Denied" && request["status"]["certificate"].is_null();
            if is_denied { Ok(()) } else { Err(format!("{}", request["status"])) }
        })?;
    }
    Ok(())
}
