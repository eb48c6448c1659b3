use jiff::SignedDuration;
use metalk8s_engine::{
    Hands, State,
    state::{Authority, Readers},
};
use metalk8s_pki::{AuthorityMaterial, authority_again};

use super::*;

const LIFETIME: u64 = 365 * 86_400;

/// The node that holds the authorities, with its files in a folder.
struct Node {
    folder: tempfile::TempDir,
    host: Host,
}

impl Node {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self { host: Host::in_root(folder.path()), folder };
        for (realm, wish) in authorities().into_iter().zip(issuing(LIFETIME)) {
            let root = State::Authority(Authority {
                certificate: realm.certificate.clone(),
                key: realm.key.clone(),
                readers: Readers::root(),
                common_name: realm.common_name.to_owned(),
                lifetime_seconds: 10 * LIFETIME,
            });
            let change = node.host.check(&root).await.unwrap().unwrap();
            node.host.apply(&root, &change).await.unwrap();
            // kube-controller-manager is no user of this machine.
            let wish = metalk8s_engine::state::IssuingAuthority { readers: Readers::root(), ..wish };
            node.host.make_issuing_authority(&wish, &node.text(&realm.key)).unwrap();
        }
        node
    }

    fn text(&self, path: &Path) -> String {
        text(&self.host, path).unwrap()
    }

    fn places(&self) -> Vec<KeyPlace> {
        standing(&self.host).unwrap().into_iter().map(|realm| realm.root_key).collect()
    }
}

#[tokio::test]
async fn keys_are_protected_taken_away_and_brought_back() {
    let node = Node::new().await;
    assert_eq!(node.places(), [KeyPlace::Open; 4]);
    let before = authorities().map(|realm| node.text(&realm.key));

    let foreseen = protect_roots(&node.host, "", None, true).unwrap();
    assert_eq!((foreseen.len(), node.places()), (4, vec![KeyPlace::Open; 4]));
    let deeds = protect_roots(&node.host, "horse", None, false).unwrap();
    assert_eq!((deeds, node.places()), (foreseen, vec![KeyPlace::Protected; 4]));
    assert!(
        protect_roots(&node.host, "other", None, false).unwrap().is_empty(),
        "they are protected already"
    );

    let safe = Path::new("/media/safe");
    assert_eq!(protect_roots(&node.host, "", Some(safe), false).unwrap().len(), 4);
    assert_eq!(node.places(), [KeyPlace::Away; 4]);
    assert!(node.folder.path().join("media/safe/etcd-ca.key").exists());

    let keys = |folder, password| RootKeys { folder, password };
    let error = unprotect_roots(&node.host, &keys(None, Some("horse")), false).unwrap_err();
    assert!(matches!(error, AuthorityError::KeyMissing { name: "kubernetes", .. }), "{error}");
    for wrong in [Some("hors"), None] {
        let error = unprotect_roots(&node.host, &keys(Some(safe), wrong), false).unwrap_err();
        assert_eq!(error.code(), Some(explain::KEY_PASSWORD));
    }
    assert_eq!(unprotect_roots(&node.host, &keys(Some(safe), Some("horse")), false).unwrap().len(), 4);
    assert_eq!(node.places(), [KeyPlace::Open; 4]);
    for (realm, before) in authorities().iter().zip(before) {
        assert!(is_same(&node.text(&realm.key), &before), "{}", realm.common_name);
    }
}

#[tokio::test]
async fn a_key_that_is_already_in_the_folder_is_left_if_it_is_the_same_and_never_overwritten() {
    let (node, other) = (Node::new().await, Node::new().await);
    let safe = Path::new("/media/safe");
    protect_roots(&node.host, "horse", Some(safe), false).unwrap();
    unprotect_roots(&node.host, &RootKeys { folder: Some(safe), password: Some("horse") }, false).unwrap();
    // As after a kill between writing and removing.
    let path = safe.join("kubernetes.key");
    let there = node.text(&path);
    protect_roots(&node.host, "horse", Some(safe), false).unwrap();
    assert_eq!((node.text(&path), node.places()), (there.clone(), vec![KeyPlace::Away; 4]));

    written(&other.host, &path, &there).unwrap();
    let error = protect_roots(&other.host, "horse", Some(safe), false).unwrap_err();
    assert!(error.to_string().contains("kubernetes.key"), "{error}");
    assert_eq!((other.text(&path), other.places()[0]), (there, KeyPlace::Open));
    let keys = RootKeys { folder: Some(safe), password: Some("horse") };
    let error = renew_authorities(&other.host, &keys, LIFETIME, true, false).unwrap_err();
    assert!(matches!(error, AuthorityError::AnotherKey { name: "kubernetes", .. }), "{error}");
}

#[tokio::test]
async fn keys_that_would_stay_on_their_file_system_are_found_wherever_they_are() {
    let node = Node::new().await;
    let safe = Path::new("/media/safe");
    assert_eq!(not_apart(&node.host, safe).unwrap(), authorities().map(|realm| realm.key));
    protect_roots(&node.host, "horse", None, false).unwrap();
    let beside = authorities().map(|realm| protected_path(&realm, None));
    assert_eq!(not_apart(&node.host, safe).unwrap(), beside);
    protect_roots(&node.host, "", Some(safe), false).unwrap();
    assert!(not_apart(&node.host, safe).unwrap().is_empty(), "none is left to go");
}

#[test]
fn a_folder_that_is_to_be_made_is_on_the_file_system_of_the_one_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let there = file_system(folder.path()).unwrap();
    assert_eq!(file_system(&folder.path().join("not/made/yet")).unwrap(), there);
    assert_ne!(file_system(Path::new("/proc/self")).unwrap(), there);
}

#[tokio::test]
async fn nothing_is_renewed_before_it_is_due_unless_all_are_asked_for() {
    let node = Node::new().await;
    let open = RootKeys { folder: None, password: None };
    assert!(renew_authorities(&node.host, &open, LIFETIME, false, false).unwrap().is_empty());
    let before = standing(&node.host).unwrap();
    assert_eq!(renew_authorities(&node.host, &open, LIFETIME, true, true).unwrap().len(), 4);
    assert_eq!(standing(&node.host).unwrap(), before);
    std::fs::remove_file(node.folder.path().join("etc/kubernetes/pki/etcd/issuing-ca.key")).unwrap();
    let due: Vec<_> = renew_authorities(&node.host, &open, LIFETIME, false, true).unwrap();
    assert_eq!(due.iter().map(|deed| deed.name).collect::<Vec<_>>(), ["etcd-ca"]);
}

#[tokio::test]
async fn a_root_that_is_due_is_renewed_with_a_key_from_elsewhere() {
    let node = Node::new().await;
    let realm = &authorities()[1];
    let current =
        AuthorityMaterial { certificate_pem: node.text(&realm.certificate), key_pem: node.text(&realm.key) };
    let before = Timestamp::now() - SignedDuration::from_hours(24 * 365 * 7);
    let aged = authority_again(&current, AUTHORITY_LIFETIME, before).unwrap();
    written(&node.host, &realm.certificate, &aged).unwrap();
    let safe = Path::new("/media/safe");
    protect_roots(&node.host, "horse", Some(safe), false).unwrap();
    let keys = RootKeys { folder: Some(safe), password: Some("horse") };
    for dry_run in [true, false] {
        let deeds = renew_authorities(&node.host, &keys, LIFETIME, false, dry_run).unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.name).collect::<Vec<_>>(), ["etcd-ca"]);
        assert!(deeds[0].summary.contains("/etc/kubernetes/pki/etcd/ca.crt with its own key"), "{deeds:?}");
    }
    assert_ne!(node.text(&realm.certificate), aged);
    assert!(standing(&node.host).unwrap()[1].root_due > Some(Timestamp::now()));
    assert!(renew_authorities(&node.host, &keys, LIFETIME, false, false).unwrap().is_empty());
}

#[test]
fn a_machine_without_authorities_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = standing(&Host::in_root(folder.path())).unwrap_err();
    assert_eq!(error.code(), Some(explain::AUTHORITY_KEY_MISSING));
}
