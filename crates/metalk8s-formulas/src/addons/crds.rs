//! Resource definitions that the archive takes from upstream programs.

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Condition, Wait},
};

use super::manifests::{AddonError, UpstreamManifests, object_state, title};

/// Adds those of an addon; returns the waits until each is served.
pub(super) fn served(
    graph: &mut Graph,
    addon: &'static str,
    upstream: &UpstreamManifests,
) -> Result<Vec<StateId>, AddonError> {
    let crds = upstream.get(addon).ok_or(AddonError::NoUpstream(addon))?;
    let mut served = Vec::new();
    for crd in crds {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let applied = graph.add(title(crd), object_state(crd.clone(), &format!("metalk8s-{addon}")));
        let wait = graph.add(
            format!("{name} is served"),
            State::Wait(Wait { until: Condition::CrdEstablished(name), deadline_seconds: 60 }),
        );
        graph.require(&wait, &applied);
        served.push(wait);
    }
    Ok(served)
}
