//! Pods that the kubelet runs from files.

pub(crate) mod former;
pub(crate) mod last_words;
pub(crate) mod outdated;
mod sandboxes;

use std::{fmt::Write, path::PathBuf};

use metalk8s_engine::{Change, ChangeKind, StateError, state::StaticPod};
use metalk8s_types::{header, labels::CONFIG_DIGEST};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    Host,
    doing::Doing,
    files::{
        draft::replace,
        owner::{Numbers, mode_of},
    },
};

/// The manifest may name secrets' files, and is nobody's business but the kubelet's.
const MODE: u32 = 0o600;

pub(crate) fn check(host: &Host, wish: &StaticPod) -> Result<Option<Change>, StateError> {
    let path = wish.path.display();
    let found = host.read_text(&wish.path)?;
    let wished = manifest(host, wish)?.ok();
    let Some(text) = found else {
        return Ok(Some(Change {
            after: wished.as_ref().map(rendered).transpose()?,
            ..Change::new(ChangeKind::Create, format!("run the pod of {path}"))
        }));
    };
    // The meaning is compared, not the letters: another way of writing YAML must not restart a pod.
    let same = wished.is_some() && serde_saphyr::from_str::<Value>(&text).ok() == wished;
    if same {
        let mode = mode_of(&host.real(&wish.path)?);
        return Ok((mode != Some(MODE))
            .then(|| Change::new(ChangeKind::Update, format!("change {path}: mode to {MODE:04o}"))));
    }
    Ok(Some(Change {
        before: Some(text),
        after: wished.as_ref().map(rendered).transpose()?,
        ..Change::new(ChangeKind::Update, format!("run the changed pod of {path}"))
    }))
}

pub(crate) fn apply(host: &Host, wish: &StaticPod) -> Result<(), StateError> {
    let manifest = manifest(host, wish)?.map_err(|missing| {
        StateError::new(format!(
            "the pod of `{}` reads `{}`, which does not exist",
            wish.path.display(),
            missing.display()
        ))
    })?;
    let text = rendered(&manifest)?;
    // The draft's name starts with a dot, which the kubelet leaves out.
    replace(&host.real(&wish.path)?, text.as_bytes(), Numbers::root(MODE))
        .doing(|| format!("could not write `{}`", wish.path.display()))
}

/// The pod with the digest of itself and its files, or the file that is not there yet.
fn manifest(host: &Host, wish: &StaticPod) -> Result<Result<Value, PathBuf>, StateError> {
    let mut files = wish.files.clone();
    files.sort();
    files.dedup();
    let mut digest = Sha256::new();
    digest.update(format!("{}\n", wish.manifest));
    for path in files {
        let Some(bytes) = host.read(&path)? else { return Ok(Err(path)) };
        let name = path.to_string_lossy();
        digest.update(format!("{} {name} {}\n", name.len(), bytes.len()));
        digest.update(bytes);
    }
    let mut manifest = wish.manifest.clone();
    let not_a_pod = || StateError::new(format!("the manifest of `{}` is no pod", wish.path.display()));
    let metadata = manifest.get_mut("metadata").and_then(Value::as_object_mut).ok_or_else(not_a_pod)?;
    metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(not_a_pod)?
        .insert(CONFIG_DIGEST.to_owned(), hex::encode(digest.finalize()).into());
    Ok(Ok(manifest))
}

fn rendered(manifest: &Value) -> Result<String, StateError> {
    let mut text = header();
    serde_saphyr::to_fmt_writer(&mut text, manifest).doing(|| "could not write a pod as YAML".to_owned())?;
    if !text.ends_with('\n') {
        text.write_char('\n').doing(|| "could not write a pod as YAML".to_owned())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;
    use serde_json::json;

    use super::*;
    use crate::testing::{Lab, mode};

    fn wish() -> StaticPod {
        StaticPod {
            path: "/etc/kubernetes/manifests/etcd.yaml".into(),
            manifest: json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "etcd", "namespace": "kube-system"},
                "spec": {"containers": [{
                    "name": "etcd", "image": "r.invalid/etcd:3.6",
                    "command": ["etcd", "--name=a: b", "--flag=true", "yes", "0x10", "1e3", "~", "- x", "#y", ""],
                    "env": [{"name": "A", "value": "true"}, {"name": "B", "value": "multi\nline\n"}],
                }], "hostNetwork": true, "priority": 2_000_001_000},
            }),
            files: vec!["/etc/kubernetes/pki/etcd/server.key".into()],
        }
    }

    #[tokio::test]
    async fn a_pod_restarts_when_a_file_that_it_reads_changes() {
        let lab = Lab::new();
        let state = State::StaticPod(wish());
        assert!(lab.check(&state).await.unwrap().is_some(), "a key still to come is a change");
        assert!(apply(&lab.host, &wish()).is_err());
        lab.file("/etc/kubernetes/pki/etcd/server.key", "one");
        lab.settles(&state).await;
        let first = lab.text("/etc/kubernetes/manifests/etcd.yaml");
        lab.file("/etc/kubernetes/pki/etcd/server.key", "two");
        lab.settles(&state).await;
        assert_ne!(first, lab.text("/etc/kubernetes/manifests/etcd.yaml"));
        assert_eq!(mode(&lab.path("/etc/kubernetes/manifests/etcd.yaml")), 0o600);
        assert_eq!(lab.names("/etc/kubernetes/manifests"), ["etcd.yaml"]);
    }

    #[tokio::test]
    async fn another_way_of_writing_the_same_pod_is_no_change() {
        let lab = Lab::new();
        lab.file("/etc/kubernetes/pki/etcd/server.key", "one");
        let manifest = manifest(&lab.host, &wish()).unwrap().unwrap();
        lab.file("/etc/kubernetes/manifests/etcd.yaml", &serde_json::to_string(&manifest).unwrap());
        let change = lab.settles(&State::StaticPod(wish())).await;
        assert!(change.summary.contains("mode to 0600"), "{}", change.summary);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let manifest = wish().manifest;
        let text = rendered(&manifest).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), manifest, "{text}");
    }
}
