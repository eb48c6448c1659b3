use metalk8s_engine::{
    State,
    state::{Authority, Certificate, KeyPair, Kubeconfig, RandomKey},
};

use super::*;
use crate::testing::{Lab, mode};

fn authority(common_name: &str) -> State {
    State::Authority(Authority {
        certificate: "/pki/ca.crt".into(),
        key: "/pki/ca.key".into(),
        common_name: common_name.to_owned(),
        days: 3650,
    })
}

fn certificate(name: &str) -> State {
    State::Certificate(Certificate {
        certificate: "/pki/server.crt".into(),
        key: "/pki/server.key".into(),
        key_mode: 0o600,
        user: None,
        ca_certificate: "/pki/ca.crt".into(),
        ca_key: "/pki/ca.key".into(),
        subject: Subject { common_name: "kube-apiserver".to_owned(), organizations: Vec::new() },
        usages: vec![Usage::Server],
        dns_names: vec![name.to_owned()],
        addresses: vec!["10.96.0.1".parse().unwrap()],
        days: 365,
    })
}

fn kubeconfig(server: &str) -> State {
    State::Kubeconfig(Kubeconfig {
        path: "/etc/kubernetes/admin.conf".into(),
        server: server.to_owned(),
        cluster: "metalk8s".to_owned(),
        ca_certificate: "/pki/ca.crt".into(),
        ca_key: "/pki/ca.key".into(),
        subject: Subject {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
        },
        days: 365,
        user: None,
    })
}

#[tokio::test]
async fn an_authority_signs_a_certificate_and_a_kubeconfig_which_are_renewed_when_they_differ() {
    let lab = Lab::new();
    assert!(lab.check(&certificate("a")).await.unwrap().is_some(), "an authority still to come is a change");
    lab.settles(&authority("kubernetes")).await;
    for name in ["a", "b"] {
        lab.settles(&certificate(name)).await;
        lab.settles(&kubeconfig(&format!("https://{name}:6443"))).await;
    }
    for path in ["/pki/ca.key", "/pki/server.key", "/etc/kubernetes/admin.conf"] {
        assert_eq!(mode(&lab.path(path)), 0o600, "{path}");
    }
    assert_eq!(mode(&lab.path("/pki/server.crt")), 0o644);
}

#[tokio::test]
async fn an_open_key_is_closed_without_a_new_certificate() {
    let lab = Lab::new();
    lab.settles(&authority("kubernetes")).await;
    lab.settles(&certificate("a")).await;
    let before = lab.text("/pki/server.crt");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(lab.path("/pki/server.key"), open).unwrap();
    lab.settles(&certificate("a")).await;
    assert_eq!((lab.text("/pki/server.crt"), mode(&lab.path("/pki/server.key"))), (before, 0o600));
}

#[tokio::test]
async fn an_authority_half_made_is_made_again_and_a_damaged_one_never() {
    let lab = Lab::new();
    lab.file("/pki/ca.key", "left by a killed run");
    lab.settles(&authority("kubernetes")).await;
    assert!(lab.check(&authority("another name")).await.is_err());
    let certificate = lab.text("/pki/ca.crt");
    std::fs::remove_file(lab.path("/pki/ca.key")).unwrap();
    assert!(lab.check(&authority("kubernetes")).await.is_err());
    assert_eq!(lab.text("/pki/ca.crt"), certificate);
}

#[tokio::test]
async fn key_pairs_and_random_keys_are_made_once() {
    let lab = Lab::new();
    let pair = State::KeyPair(KeyPair { private: "/pki/sa.key".into(), public: "/pki/sa.pub".into() });
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
