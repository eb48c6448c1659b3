//! Whether the repositories hand out images as they were signed: the manifest, and everything that it names.

use std::{net::IpAddr, time::Duration};

use futures::{StreamExt, stream};
use hyper::{Method, StatusCode};
use metalk8s_artifacts::digest::sha256;
use metalk8s_diagnostics::sentence;
use metalk8s_formulas::repositories_endpoint;
use metalk8s_types::{environment, pillar::ClusterPillar};
use serde_json::Value;

use super::facts::ImageSeen;
use crate::https::Https;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many images are looked at at the same time.
const AT_ONCE: usize = 4;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// Asks for every image of every version.
pub(super) async fn images(client: &Https, server: IpAddr, settings: &ClusterPillar) -> Vec<ImageSeen> {
    let wanted = settings.versions.iter().flat_map(|(version, facts)| {
        facts.images.iter().map(move |(name, image)| {
            (format!("{}/{name}", environment(version)), image.tag.clone(), image.digest.clone())
        })
    });
    let asked = stream::iter(wanted.collect::<Vec<_>>()).map(async |(name, tag, digest)| {
        let pull = pull(client, server, &name, &tag, &digest).await;
        ImageSeen { name: format!("{name}:{tag}"), pull }
    });
    let mut seen: Vec<ImageSeen> = asked.buffer_unordered(AT_ONCE).collect().await;
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    seen
}

/// Asks by the tag, as a pod does, and then for whether each blob is there.
async fn pull(client: &Https, server: IpAddr, name: &str, tag: &str, digest: &str) -> Result<(), String> {
    let base = format!("https://{}/v2/{name}", repositories_endpoint(server));
    let url = format!("{base}/manifests/{tag}");
    let answer = client.call(Method::GET, &url, MANIFESTS, String::new(), PATIENCE).await;
    let answer = answer.map_err(|error| sentence(&error))?;
    if answer.status != StatusCode::OK {
        return Err(format!("the repositories answer {} to its manifest", answer.status.as_u16()));
    }
    let found = format!("sha256:{}", sha256(&answer.body));
    if found != digest {
        return Err(format!("its manifest is {found}, and {digest} was signed"));
    }
    let manifest: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    for (digest, size) in blobs(&manifest) {
        let url = format!("{base}/blobs/{digest}");
        let answer = client.call(Method::HEAD, &url, "*/*", String::new(), PATIENCE).await;
        let answer = answer.map_err(|error| sentence(&error))?;
        let length =
            answer.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        if answer.status != StatusCode::OK || length != Some(size) {
            return Err(format!("its part {digest} is not there: status {}", answer.status.as_u16()));
        }
    }
    Ok(())
}

/// Configuration and layers that a manifest names, with their sizes in bytes.
fn blobs(manifest: &Value) -> Vec<(&str, u64)> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let all = std::iter::once(&manifest["config"]).chain(layers);
    all.filter_map(|blob| Some((blob["digest"].as_str()?, blob["size"].as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configuration_and_layers_of_a_manifest_are_looked_for() {
        let manifest = json!({
            "config": {"digest": "sha256:a", "size": 1},
            "layers": [{"digest": "sha256:b", "size": 2}, {"size": 3}],
        });
        assert_eq!(blobs(&manifest), [("sha256:a", 1), ("sha256:b", 2)]);
    }
}
