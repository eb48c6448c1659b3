//! Where images come from.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use metalk8s_types::REGISTRY;
use serde_json::Value;

use crate::suite::{Stage, cluster::pods};

pub(super) fn are_ours(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let mut found = BTreeSet::new();
    for pod in pods(machine)? {
        for kind in ["initContainers", "containers"] {
            names(&pod["spec"][kind], "image", &mut found);
        }
        for kind in ["initContainerStatuses", "containerStatuses"] {
            names(&pod["status"][kind], "imageID", &mut found);
        }
    }
    let listed: Value = serde_json::from_str(&machine.run_checked("crictl images --output json")?)?;
    for image in listed["images"].as_array().into_iter().flatten() {
        // An image that was imported, not pulled, is known to pods by its id alone.
        if let Some(id) = image["id"].as_str() {
            found.remove(id);
        }
        for kind in ["repoTags", "repoDigests"] {
            found.extend(
                image[kind].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
            );
        }
    }
    ensure!(!found.is_empty(), "there are no images");
    let foreign: Vec<_> = found.iter().filter(|image| !is_ours(image)).collect();
    ensure!(foreign.is_empty(), "from elsewhere: {foreign:?}");
    stage.note(format!("{} names", found.len()));
    Ok(())
}

fn names(containers: &Value, key: &str, found: &mut BTreeSet<String>) {
    let containers = containers.as_array().into_iter().flatten();
    found.extend(containers.filter_map(|container| container[key].as_str()).map(str::to_owned));
}

fn is_ours(image: &str) -> bool {
    image.strip_prefix(REGISTRY).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the attempt leaves the machine is seen by the check on the lab's counters.
pub(super) fn others_are_refused(stage: &Stage) -> Result<()> {
    let output = stage.lab.bootstrap()?.run("timeout 120 crictl pull docker.io/library/busybox:1.36")?;
    ensure!(!output.success(), "it was pulled");
    ensure!(output.code != 124, "no answer within 120 s, where a refusal should come");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_begins_like_ours_is_foreign() {
        assert!(is_ours(&format!("{REGISTRY}/metalk8s-0.1.0/etcd:3.6.16")));
        assert!(!is_ours(&format!("{REGISTRY}.example.org/etcd")));
        assert!(!is_ours("docker.io/library/etcd"));
    }
}
