use super::*;
use crate::{AuthorityMaterial, Usage, authority, issue};

const SERVER: &str = "https://127.0.0.1:7443";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn request() -> Request {
    Request {
        common_name: "kubernetes-admin".into(),
        organizations: vec!["system:masters".into()],
        usages: vec![Usage::Client],
        lifetime_seconds: 30 * 86_400,
        ..Request::default()
    }
}

fn ca() -> AuthorityMaterial {
    authority("kubernetes", 3650 * 86_400, now()).unwrap().into()
}

fn admin(ca: &AuthorityMaterial) -> String {
    let issued = issue(ca, &request(), now()).unwrap();
    kubeconfig(SERVER, "metalk8s", "admin", &ca.certificate_pem, &issued.certificate_pem, &issued.key_pem)
}

#[test]
fn a_written_kubeconfig_is_good() {
    let ca = ca();
    let text = admin(&ca);
    assert_eq!(check_kubeconfig(&text, SERVER, "metalk8s", &ca.certificate_pem, &request(), now()), None);
}

#[test]
fn each_value_stands_on_the_line_of_its_key() {
    let text = admin(&ca());
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap().trim();
    for key in ["certificate-authority-data:", "client-certificate-data:", "client-key-data:"] {
        assert!(STANDARD.decode(value(key)).unwrap().starts_with(b"-----BEGIN "), "{key}");
    }
}

#[test]
fn a_name_that_yaml_would_read_as_something_else_survives() {
    let ca = ca();
    let issued = issue(&ca, &request(), now()).unwrap();
    let text =
        kubeconfig(SERVER, "yes", "1e3", &ca.certificate_pem, &issued.certificate_pem, &issued.key_pem);
    assert_eq!(check_kubeconfig(&text, SERVER, "yes", &ca.certificate_pem, &request(), now()), None);
}

#[test]
fn each_difference_has_its_own_reason() {
    let ca = ca();
    let text = admin(&ca);
    let found = |server: &str, cluster: &str, ca: &AuthorityMaterial, request: &Request| {
        check_kubeconfig(&text, server, cluster, &ca.certificate_pem, request, now()).unwrap()
    };
    assert_eq!(
        found("https://10.0.0.1:6443", "metalk8s", &ca, &request()),
        Reason::AnotherServer { found: SERVER.into() }
    );
    assert_eq!(found(SERVER, "other", &ca, &request()), Reason::AnotherCluster { found: "metalk8s".into() });
    assert_eq!(found(SERVER, "metalk8s", &self::ca(), &request()), Reason::AnotherAuthority);
    let somebody = Request { common_name: "somebody".into(), ..request() };
    assert!(matches!(found(SERVER, "metalk8s", &ca, &somebody), Reason::AnotherSubject { .. }));
}

#[test]
fn its_certificate_is_renewed_like_any_other() {
    let ca = ca();
    let text = admin(&ca);
    let later = now() + jiff::SignedDuration::from_hours(21 * 24);
    let found = check_kubeconfig(&text, SERVER, "metalk8s", &ca.certificate_pem, &request(), later);
    assert!(matches!(found, Some(Reason::Due(_))));
}

#[test]
fn damaged_text_is_made_anew() {
    let ca = ca();
    let found =
        |text: &str| check_kubeconfig(text, SERVER, "metalk8s", &ca.certificate_pem, &request(), now());
    assert_eq!(found(""), Some(Reason::Missing(Part::Kubeconfig)));
    assert_eq!(found("{"), Some(Reason::Unreadable(Part::Kubeconfig)));
    assert_eq!(found("kind: Config"), Some(Reason::Unreadable(Part::Kubeconfig)));
    let text = admin(&ca);
    let truncated = &text[..text.len() / 2];
    assert_eq!(found(truncated), Some(Reason::Unreadable(Part::Kubeconfig)));
}
