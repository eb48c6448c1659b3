//! Pods of static manifests under a former name of their node.
//!
//! The kubelet calls such a pod by its manifest and its node. One that starts under another name runs them
//! all anew, beside the former ones, which hold ports and folders until it gets to ending them.

use metalk8s_engine::{Change, ChangeKind, StateError};

use super::sandboxes::{self, Manifest, Sandbox};
use crate::{Host, doing::Doing};

pub(crate) async fn check(host: &Host, node: &str) -> Result<Option<Change>, StateError> {
    let listed = sandboxes::list_if_any(host).await;
    let former = former(&listed, &sandboxes::manifests(host)?, node);
    let names: Vec<&str> = former.iter().map(|sandbox| sandbox.name()).collect();
    Ok((!names.is_empty()).then(|| Change::new(ChangeKind::Remove, format!("end {}", names.join(", ")))))
}

/// The kubelet is stopped first, since it would start them again under the name that it knows.
pub(crate) async fn end(host: &Host, node: &str) -> Result<(), StateError> {
    let doing = || "could not end pods of a former name".to_owned();
    host.program("systemctl").args(["stop", "kubelet.service"]).run().await.doing(doing)?;
    let listed = sandboxes::list(host).await.doing(doing)?;
    for sandbox in former(&listed, &sandboxes::manifests(host)?, node) {
        sandboxes::end(host, sandbox).await.doing(doing)?;
    }
    Ok(())
}

/// Those pods of the manifests that are called after another node. Pure.
fn former<'a>(sandboxes: &'a [Sandbox], manifests: &[Manifest], node: &str) -> Vec<&'a Sandbox> {
    let is_ours = |name: &str| manifests.iter().any(|manifest| name == format!("{}-{node}", manifest.name));
    let is_of_manifest =
        |name: &str| manifests.iter().any(|manifest| name.starts_with(&format!("{}-", manifest.name)));
    let of_another = |sandbox: &&Sandbox| is_of_manifest(sandbox.name()) && !is_ours(sandbox.name());
    sandboxes.iter().filter(of_another).collect()
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::{super::sandboxes::CRICTL, *};
    use crate::testing::Lab;

    const PODS: &str = r#"{"items": [
        {"id": "aaa", "metadata": {"name": "etcd-rack-a", "uid": "1"},
         "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "bbb", "metadata": {"name": "etcd-a"}, "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "ccc", "metadata": {"name": "other-rack-a"},
         "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "ddd", "metadata": {"name": "etcd-backup"}, "annotations": {"kubernetes.io/config.source": "api"}},
        {"id": "eee", "metadata": {"name": "etcd-x"}}
    ]}"#;

    fn lab() -> Lab {
        let lab = Lab::new();
        lab.file("/etc/kubernetes/manifests/etcd.yaml", "metadata: {name: etcd}\n");
        lab.file("/etc/kubernetes/manifests/broken.yaml", "{");
        lab.file("/etc/kubernetes/manifests/.draft.yaml", "metadata: {name: other}\n");
        lab.file("/pods.json", PODS);
        lab.program("systemctl", "");
        lab.program("crictl", CRICTL);
        lab
    }

    #[tokio::test]
    async fn pods_under_a_former_name_end_in_order_with_the_kubelet_stopped_before() {
        let lab = lab();
        let state = State::Removed(Removed::FormerStaticPods { node: "a".into() });
        let change = lab.settles(&state).await;
        assert_eq!(change.summary, "end etcd-rack-a");
        let calls = lab.calls();
        let done: Vec<&str> =
            calls.iter().map(String::as_str).filter(|call| !call.starts_with("crictl pods")).collect();
        assert_eq!(
            done,
            [
                "systemctl stop kubelet.service",
                "crictl ps --output=json --pod aaa",
                "crictl stop --timeout=10 in-aaa",
                "crictl stopp aaa",
                "crictl rmp aaa",
            ]
        );
    }

    #[tokio::test]
    async fn a_machine_without_a_runtime_has_none() {
        let state = State::Removed(Removed::FormerStaticPods { node: "a".into() });
        assert_eq!(Lab::new().check(&state).await.unwrap(), None);
        let lab = lab();
        lab.program("crictl", "echo 'no such socket' >&2; exit 1");
        assert_eq!(lab.check(&state).await.unwrap(), None);
    }

    #[tokio::test]
    async fn pods_that_cannot_be_listed_any_more_are_an_error() {
        let lab = lab();
        lab.program("crictl", "echo '{'");
        let error = end(&lab.host, "a").await.unwrap_err();
        assert!(crate::testing::chain(&error).contains("is damaged"), "{}", crate::testing::chain(&error));
    }
}
