use std::os::unix::fs::MetadataExt;

use metalk8s_engine::{
    Hands, State,
    state::{Authority, Certificate, IssuingAuthority, KeyPair, Kubeconfig, RandomKey},
};

use super::*;
use crate::testing::{Lab, mode};

fn authority(common_name: &str, readers: Readers) -> State {
    State::Authority(Authority {
        certificate: "/pki/ca.crt".into(),
        key: "/pki/ca.key".into(),
        readers,
        common_name: common_name.to_owned(),
        lifetime_seconds: 3650 * 86_400,
    })
}

fn issuing(readers: Readers) -> IssuingAuthority {
    IssuingAuthority {
        certificate: "/pki/issuing-ca.crt".into(),
        key: "/pki/issuing-ca.key".into(),
        readers,
        common_name: "kubernetes-issuing".to_owned(),
        lifetime_seconds: 3 * 365 * 86_400,
        root_certificate: "/pki/ca.crt".into(),
        root_key: "/pki/ca.key".into(),
        known: Some("/pki/client-ca.crt".into()),
    }
}

fn issuing_state(readers: Readers) -> State {
    State::IssuingAuthority(issuing(readers))
}

/// Who signs the certificates of these tests.
fn signer() -> Signer {
    Signer::Here { certificate: "/pki/issuing-ca.crt".into(), key: "/pki/issuing-ca.key".into() }
}

/// Root and issuing authority.
async fn make_realm(lab: &Lab) {
    lab.settles(&authority("kubernetes", Readers::root())).await;
    lab.settles(&issuing_state(Readers::root())).await;
}

fn certificate(name: &str, readers: Readers) -> State {
    State::Certificate(Certificate {
        certificate: "/pki/server.crt".into(),
        key: "/pki/server.key".into(),
        readers,
        ca_certificate: "/pki/ca.crt".into(),
        signer: signer(),
        subject: Subject { common_name: "kube-apiserver".to_owned(), organizations: Vec::new() },
        usages: vec![Usage::Server],
        dns_names: vec![name.to_owned()],
        addresses: vec!["10.96.0.1".parse().unwrap()],
        lifetime_seconds: 365 * 86_400,
    })
}

fn kubeconfig(server: &str, readers: Readers) -> State {
    State::Kubeconfig(Kubeconfig {
        path: "/etc/kubernetes/admin.conf".into(),
        server: server.to_owned(),
        cluster: "metalk8s".to_owned(),
        ca_certificate: "/pki/ca.crt".into(),
        signer: signer(),
        subject: Subject {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
        },
        lifetime_seconds: 365 * 86_400,
        readers,
    })
}

fn key_pair(readers: Readers) -> State {
    State::KeyPair(KeyPair { private: "/pki/sa.key".into(), public: "/pki/sa.pub".into(), readers })
}

#[tokio::test]
async fn an_authority_signs_a_certificate_and_a_kubeconfig_which_are_renewed_when_they_differ() {
    let lab = Lab::new();
    assert!(
        lab.check(&certificate("a", Readers::root())).await.unwrap().is_some(),
        "an authority still to come is a change"
    );
    make_realm(&lab).await;
    for name in ["a", "b"] {
        lab.settles(&certificate(name, Readers::root())).await;
        lab.settles(&kubeconfig(&format!("https://{name}:6443"), Readers::root())).await;
    }
    for path in ["/pki/ca.key", "/pki/server.key", "/etc/kubernetes/admin.conf"] {
        assert_eq!(mode(&lab.path(path)), 0o600, "{path}");
    }
    assert_eq!(mode(&lab.path("/pki/server.crt")), 0o644);
}

#[tokio::test]
async fn an_open_key_is_closed_without_a_new_certificate() {
    let lab = Lab::new();
    make_realm(&lab).await;
    lab.settles(&certificate("a", Readers::root())).await;
    let before = lab.text("/pki/server.crt");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(lab.path("/pki/server.key"), open).unwrap();
    lab.settles(&certificate("a", Readers::root())).await;
    assert_eq!((lab.text("/pki/server.crt"), mode(&lab.path("/pki/server.key"))), (before, 0o600));
}

#[tokio::test]
async fn an_authority_half_made_is_made_again_and_a_damaged_one_never() {
    let lab = Lab::new();
    lab.file("/pki/ca.key", "left by a killed run");
    lab.settles(&authority("kubernetes", Readers::root())).await;
    assert!(lab.check(&authority("another name", Readers::root())).await.is_err());
    let certificate = lab.text("/pki/ca.crt");
    lab.file("/pki/ca.key", "damaged");
    assert!(lab.check(&authority("kubernetes", Readers::root())).await.is_err());
    assert_eq!(lab.text("/pki/ca.crt"), certificate);
}

/// Writes the root as it would be if it had been made so many seconds ago for ten years.
fn age(lab: &Lab, seconds: i64) {
    let current =
        AuthorityMaterial { certificate_pem: lab.text("/pki/ca.crt"), key_pem: lab.text("/pki/ca.key") };
    let then = now() - jiff::SignedDuration::from_secs(seconds);
    lab.file("/pki/ca.crt", &metalk8s_pki::authority_again(&current, 3650 * 86_400, then).unwrap());
}

#[tokio::test]
async fn a_root_is_renewed_with_its_key_and_what_it_signed_stays() {
    let lab = Lab::new();
    make_realm(&lab).await;
    lab.settles(&certificate("a", Readers::root())).await;
    let files = ["/pki/ca.key", "/pki/issuing-ca.crt", "/pki/server.crt"];
    let before = files.map(|path| lab.text(path));
    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    for years in [7, 11] {
        age(&lab, years * 365 * 86_400);
        let aged = lab.text("/pki/ca.crt");
        let change = lab.check(&authority("kubernetes", Readers::root())).await.unwrap().unwrap();
        assert!(change.summary.contains("renew the authority /pki/ca.crt with its own key"), "{change:?}");
        lab.settles(&authority("kubernetes", Readers::root())).await;
        assert_ne!(lab.text("/pki/ca.crt"), aged);
        // Whoever knows clients by a list knows the renewed root, too.
        lab.settles(&issuing_state(Readers::root())).await;
        assert!(bare(&lab.text("/pki/client-ca.crt")).contains(&bare(&lab.text("/pki/ca.crt"))));
        assert_eq!(lab.check(&certificate("a", Readers::root())).await.unwrap(), None);
        assert_eq!(files.map(|path| lab.text(path)), before);
    }
    // Without its key it waits for a person.
    age(&lab, 7 * 365 * 86_400);
    std::fs::remove_file(lab.path("/pki/ca.key")).unwrap();
    assert_eq!(lab.check(&authority("kubernetes", Readers::root())).await.unwrap(), None);
}

#[tokio::test]
async fn where_the_key_of_the_root_is_elsewhere_certificates_are_made_and_issuing_authorities_are_not() {
    let lab = Lab::new();
    make_realm(&lab).await;
    let key = lab.text("/pki/ca.key");
    std::fs::remove_file(lab.path("/pki/ca.key")).unwrap();
    let root = authority("kubernetes", Readers::root());
    assert_eq!(lab.check(&root).await.unwrap(), None);
    assert_eq!(lab.check(&issuing_state(Readers::root())).await.unwrap(), None);
    lab.settles(&certificate("a", Readers::root())).await;
    std::fs::remove_file(lab.path("/pki/issuing-ca.key")).unwrap();
    let error = lab.check(&issuing_state(Readers::root())).await.unwrap_err();
    assert!(error.to_string().contains("`metalk8s authority renew --from`"), "{error}");
    lab.host.make_issuing_authority(&issuing(Readers::root()), &key).unwrap();
    assert_eq!(lab.check(&issuing_state(Readers::root())).await.unwrap(), None);
    assert_eq!(
        lab.check(&certificate("a", Readers::root())).await.unwrap(),
        None,
        "what the former one has signed stays good"
    );
}

#[tokio::test]
async fn clients_are_known_by_the_root_and_by_issuing_authorities_of_now_and_before() {
    let lab = Lab::new();
    make_realm(&lab).await;
    let [root, first, key] = ["/pki/ca.crt", "/pki/issuing-ca.crt", "/pki/ca.key"].map(|path| lab.text(path));
    let known = || lab.text("/pki/client-ca.crt").replace('\r', "");
    let parts = |texts: &[&str]| texts.concat().replace('\r', "");
    assert_eq!(known(), parts(&[&root, &first]));
    lab.host.make_issuing_authority(&issuing(Readers::root()), &key).unwrap();
    let second = lab.text("/pki/issuing-ca.crt");
    assert_ne!(first, second);
    assert_eq!(known(), parts(&[&root, &second, &first]));
    lab.file("/pki/client-ca.crt", "nonsense");
    lab.settles(&issuing_state(Readers::root())).await;
    assert_eq!(known(), parts(&[&root, &second]));
}

#[tokio::test]
async fn key_pairs_and_random_keys_are_made_once() {
    let lab = Lab::new();
    let pair = key_pair(Readers::root());
    let random = State::RandomKey(RandomKey { path: "/pki/secret".into(), bytes: 32 });
    lab.settles(&pair).await;
    lab.settles(&random).await;
    assert_eq!((mode(&lab.path("/pki/sa.key")), mode(&lab.path("/pki/secret"))), (0o600, 0o600));
    assert_eq!(lab.text("/pki/secret").len(), 44);

    let other = Lab::new();
    other.settles(&random).await;
    assert_ne!(lab.text("/pki/secret"), other.text("/pki/secret"));

    std::fs::write(lab.path("/pki/sa.key"), "damaged").unwrap();
    assert!(lab.check(&pair).await.is_err());
}

#[tokio::test]
async fn a_private_file_of_another_owner_is_given_to_its_readers_and_not_made_again() {
    let lab = Lab::new();
    lab.file("/etc/passwd", "one:x:71:71::/:/bin/sh\ntwo:x:72:72::/:/bin/sh\n");
    lab.file("/etc/group", "one:x:71:\ntwo:x:72:\n");
    let states = |readers: &Readers| {
        [
            ("/pki/ca.key", authority("kubernetes", readers.clone())),
            ("/pki/issuing-ca.key", issuing_state(readers.clone())),
            ("/pki/server.key", certificate("a", readers.clone())),
            ("/etc/kubernetes/admin.conf", kubeconfig("https://a:6443", readers.clone())),
            ("/pki/sa.key", key_pair(readers.clone())),
        ]
    };
    let made = Readers::root();
    for (_, state) in states(&made) {
        lab.settles(&state).await;
    }
    let texts = states(&made).map(|(path, _)| lab.text(path));
    for (readers, expected) in [
        (Readers::user("one"), (71, 0, 0o600)),
        (Readers::user("one").and_group("two"), (71, 72, 0o640)),
        (Readers::user("two"), (72, 0, 0o600)),
        (Readers::root(), (0, 0, 0o600)),
    ] {
        for (path, state) in states(&readers) {
            let change = lab.settles(&state).await;
            assert!(change.summary.starts_with(&format!("change {path}: ")), "{}", change.summary);
            let found = std::fs::metadata(lab.path(path)).unwrap();
            assert_eq!((found.uid(), found.gid(), mode(&lab.path(path))), expected, "{path}");
        }
    }
    assert_eq!(states(&made).map(|(path, _)| lab.text(path)), texts);
}

#[tokio::test]
async fn a_private_file_is_made_for_its_readers() {
    let lab = Lab::new();
    lab.file("/etc/passwd", "one:x:71:71::/:/bin/sh\n");
    lab.file("/etc/group", "two:x:72:\n");
    let readers = || Readers::user("one").and_group("two");
    for (path, state) in [
        ("/pki/ca.key", authority("kubernetes", readers())),
        ("/pki/issuing-ca.key", issuing_state(readers())),
        ("/pki/server.key", certificate("a", readers())),
        ("/etc/kubernetes/admin.conf", kubeconfig("https://a:6443", readers())),
        ("/pki/sa.key", key_pair(readers())),
    ] {
        lab.settles(&state).await;
        let found = std::fs::metadata(lab.path(path)).unwrap();
        assert_eq!((found.uid(), found.gid(), mode(&lab.path(path))), (71, 72, 0o640), "{path}");
    }
    let stranger = key_pair(Readers::user("nobody-here"));
    let change = lab.check(&stranger).await.unwrap().unwrap();
    let err = lab.host.apply(&stranger, &change).await.unwrap_err();
    assert_eq!(err.to_string(), "there is no user `nobody-here`");
}
