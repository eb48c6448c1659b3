//! The certificates of all nodes, as they are listed on one.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::{NODE, Stage, node_machine};

/// One that every node renews.
const KUBELET: &str = "/etc/kubernetes/pki/kubelet.crt";

/// All nodes are in it, each with certificates that are good; of one the worker's own file says the same.
pub(super) fn of_all_nodes(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let text = bootstrap.run_checked("metalk8s certificates --output json")?;
    let listed: Value = serde_json::from_str(&text).context("no JSON")?;
    let nodes = listed.as_array().context("no list")?;
    let names: Vec<&str> = nodes.iter().filter_map(|node| node["node"].as_str()).collect();
    ensure!(names == [&*bootstrap.name, NODE], "the nodes are {names:?}");
    let mut all = Vec::new();
    for node in nodes {
        let certificates = node["certificates"].as_array().filter(|found| !found.is_empty());
        let certificates = certificates.with_context(|| format!("a node has none: {node}"))?;
        for certificate in certificates {
            is_whole(certificate, node["node"] == NODE).with_context(|| certificate.to_string())?;
        }
        all.extend(certificates);
    }
    stage.note(format!("{} certificates", all.len()));

    let own = node_machine(stage)?.run_checked(&format!(
        "date --utc --date \"$(openssl x509 -noout -enddate -in {KUBELET} | cut --delimiter = --fields 2)\" \
         +%Y-%m-%dT%H:%M:%SZ"
    ))?;
    // The worker comes last.
    let listed = all.iter().rfind(|certificate| certificate["file"] == KUBELET);
    let listed = listed.context("the kubelet's is missing")?;
    ensure!(listed["validity"]["end"] == own, "{KUBELET} ends at {own}: {listed}");

    let text = bootstrap.run_checked("metalk8s certificates")?;
    let heading = text.lines().next().unwrap_or_default();
    for word in ["NODE", "USED BY", "SUBJECT", "ISSUER", "EXPIRES", "RENEWAL"] {
        ensure!(heading.contains(word), "`{word}` is not in the heading: {heading}");
    }
    ensure!(text.lines().count() == all.len() + 1, "not a line for each: {text}");
    Ok(())
}

/// It tells whom it names, who signed it, who uses it, and when it is renewed, which is before it ends.
fn is_whole(certificate: &Value, is_of_worker: bool) -> Result<()> {
    for key in ["file", "used_by", "subject", "issuer"] {
        ensure!(certificate[key].as_str().is_some_and(|text| !text.is_empty()), "`{key}` is missing");
    }
    ensure!(certificate["standing"] == "good", "it is not good");
    let moment = |key: &str| {
        let text = certificate["validity"][key].as_str().with_context(|| format!("`{key}` is missing"))?;
        text.parse::<Timestamp>().with_context(|| format!("`{key}` is {text}"))
    };
    let (now, end) = (Timestamp::now(), moment("end")?);
    // A worker is given the roots, and renews none.
    if is_of_worker && certificate["file"].as_str().is_some_and(|file| file.ends_with("/ca.crt")) {
        ensure!(certificate["validity"]["renewal"].is_null() && now < end, "a worker renews a root");
    } else {
        let renewal = moment("renewal")?;
        ensure!(now < renewal && renewal < end, "it is not renewed before it ends");
    }
    Ok(())
}
