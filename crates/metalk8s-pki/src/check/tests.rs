use proptest::prelude::*;

use super::*;
use crate::{AuthorityMaterial, Issued, Usage, authority, issue, issuing_authority, key_pair};

const DAY: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn after_days(days: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + days * DAY).unwrap()
}

fn request() -> Request {
    Request {
        common_name: "kube-apiserver".into(),
        organizations: vec!["masters".into()],
        usages: vec![Usage::Server, Usage::Client],
        dns_names: vec!["kubernetes".into(), "kubernetes.default.svc".into()],
        addresses: vec!["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        lifetime_seconds: 90 * 86_400,
    }
}

fn realm() -> (AuthorityMaterial, Issued) {
    let ca = AuthorityMaterial::from(authority("kubernetes", 3650 * 86_400, now()).unwrap());
    let issued = issue(&ca, &request(), now()).unwrap();
    (ca, issued)
}

/// What is found when `request` is wanted and `realm` is there.
fn check((ca, issued): &(AuthorityMaterial, Issued), request: &Request, at: Timestamp) -> Option<Reason> {
    check_certificate(&issued.certificate_pem, &issued.key_pem, &ca.certificate_pem, request, at)
}

#[test]
fn a_fresh_certificate_is_good_and_order_of_names_does_not_matter() {
    let realm = realm();
    assert_eq!(check(&realm, &request(), now()), None);
    let mut other = request();
    other.dns_names.reverse();
    other.addresses.reverse();
    other.usages.reverse();
    assert_eq!(check(&realm, &other, now()), None);
}

#[test]
fn each_difference_has_its_own_reason() {
    let realm = realm();
    let changed = |change: fn(&mut Request)| {
        let mut request = request();
        change(&mut request);
        check(&realm, &request, now()).unwrap()
    };
    assert!(matches!(changed(|r| r.common_name = "x".into()), Reason::AnotherSubject { .. }));
    assert!(matches!(changed(|r| r.organizations.clear()), Reason::AnotherSubject { .. }));
    assert!(matches!(changed(|r| r.dns_names.truncate(1)), Reason::OtherNames { .. }));
    assert!(matches!(changed(|r| r.addresses.push([1, 2, 3, 4].into())), Reason::OtherNames { .. }));
    assert_eq!(changed(|r| r.usages.truncate(1)), Reason::OtherUsages);
}

#[test]
fn the_subject_that_is_found_is_told() {
    let realm = realm();
    let Some(reason) = check(&realm, &Request { common_name: "x".into(), ..request() }, now()) else {
        panic!("another subject went unseen")
    };
    assert_eq!(reason.to_string(), "it names `O=masters, CN=kube-apiserver`");
}

#[test]
fn a_certificate_is_renewed_from_two_thirds_of_its_life_on() {
    let realm = realm();
    assert_eq!(check(&realm, &request(), after_days(59)), None);
    assert!(matches!(check(&realm, &request(), after_days(61)), Some(Reason::Due(_))));
    assert!(matches!(check(&realm, &request(), after_days(91)), Some(Reason::Expired(_))));
    assert!(matches!(check(&realm, &request(), after_days(-1)), Some(Reason::NotYetValid(_))));
}

#[test]
fn a_certificate_is_valid_for_a_clock_that_is_four_minutes_behind() {
    let four_minutes_ago = Timestamp::from_second(now().as_second() - 240).unwrap();
    assert_eq!(check(&realm(), &request(), four_minutes_ago), None);
}

#[test]
fn another_authority_of_the_same_name_is_seen() {
    let (_, issued) = realm();
    let (other, _) = realm();
    assert_eq!(check(&(other, issued), &request(), now()), Some(Reason::AnotherAuthority));
}

#[test]
fn a_key_of_another_certificate_is_seen() {
    let (ca, issued) = realm();
    let other = issue(&ca, &request(), now()).unwrap();
    let mixed = Issued { certificate_pem: issued.certificate_pem, key_pem: other.key_pem };
    assert_eq!(check(&(ca, mixed), &request(), now()), Some(Reason::KeyDoesNotFit));
}

#[test]
fn missing_and_damaged_parts_are_named() {
    let (ca, issued) = realm();
    let found = |certificate: &str, key: &str, ca: &str| {
        check_certificate(certificate, key, ca, &request(), now()).unwrap()
    };
    let (certificate, key, ca) = (&issued.certificate_pem, &issued.key_pem, &ca.certificate_pem);
    assert_eq!(found("", key, ca), Reason::Missing(Part::Certificate));
    assert_eq!(found(certificate, " \n", ca), Reason::Missing(Part::Key));
    assert_eq!(found(certificate, key, ""), Reason::Missing(Part::Authority));
    assert_eq!(found(&certificate[..80], key, ca), Reason::Unreadable(Part::Certificate));
    assert_eq!(found(key, key, ca), Reason::Unreadable(Part::Certificate));
    assert_eq!(found(certificate, certificate, ca), Reason::Unreadable(Part::Key));
    assert_eq!(found(certificate, key, "nonsense"), Reason::Unreadable(Part::Authority));
}

#[test]
fn an_authority_is_due_after_two_thirds_of_its_life_and_over_at_its_end() {
    let (ca, issued) = realm();
    let found = |at| check_authority(&ca.certificate_pem, &ca.key_pem, "kubernetes", at);
    assert_eq!(found(now()), None);
    assert_eq!(found(after_days(2430)), None);
    assert!(matches!(found(after_days(2434)), Some(Reason::Due(_))));
    assert!(matches!(found(after_days(3651)), Some(Reason::Expired(_))));
    assert!(matches!(
        check_authority(&ca.certificate_pem, &ca.key_pem, "etcd", now()),
        Some(Reason::AnotherSubject { .. })
    ));
    assert_eq!(
        check_authority(&issued.certificate_pem, &issued.key_pem, "kube-apiserver", now()),
        Some(Reason::NoAuthority)
    );
    assert_eq!(
        check_authority(&ca.certificate_pem, &issued.key_pem, "kubernetes", now()),
        Some(Reason::KeyDoesNotFit)
    );
}

/// An authority that signs in the place of `root` for 90 days.
fn issuing(root: &AuthorityMaterial) -> AuthorityMaterial {
    issuing_authority(root, "kubernetes-issuing", 90 * 86_400, now()).unwrap().into()
}

#[test]
fn a_certificate_leads_to_its_root_by_the_authority_that_follows_it() {
    let (root, _) = realm();
    let between = issuing(&root);
    let issued = issue(&between, &request(), now()).unwrap();
    let found = |pem: &str, root: &AuthorityMaterial| {
        check_certificate(pem, &issued.key_pem, &root.certificate_pem, &request(), now())
    };
    assert_eq!(found(&issued.certificate_pem, &root), None);
    assert_eq!(issued.certificate_pem.matches("BEGIN CERTIFICATE").count(), 2);
    let alone = issued.certificate_pem.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    assert_eq!(found(alone, &root), Some(Reason::AnotherAuthority));
    let with_another = format!("{alone}\n{}", issuing(&root).certificate_pem);
    assert_eq!(found(&with_another, &root), Some(Reason::AnotherAuthority));
    assert_eq!(found(&issued.certificate_pem, &realm().0), Some(Reason::AnotherAuthority));
    // A certificate of a server is no authority, whatever it has signed.
    let server: AuthorityMaterial = issue(&root, &request(), now()).unwrap().into();
    let forged = issue(&server, &request(), now()).unwrap();
    assert_eq!(
        check_certificate(&forged.certificate_pem, &forged.key_pem, &root.certificate_pem, &request(), now()),
        Some(Reason::AnotherAuthority)
    );
}

#[test]
fn an_issuing_authority_is_renewed_when_it_is_due_or_another_root_signs() {
    let (root, _) = realm();
    let between = issuing(&root);
    let found = |root: &AuthorityMaterial, name: &str, at| {
        check_issuing_authority(&between.certificate_pem, &between.key_pem, &root.certificate_pem, name, at)
    };
    assert_eq!(found(&root, "kubernetes-issuing", now()), None);
    assert!(matches!(found(&root, "kubernetes-issuing", after_days(61)), Some(Reason::Due(_))));
    assert!(matches!(found(&root, "kubernetes-issuing", after_days(91)), Some(Reason::Expired(_))));
    assert!(matches!(found(&root, "x", now()), Some(Reason::AnotherSubject { .. })));
    assert_eq!(found(&realm().0, "kubernetes-issuing", now()), Some(Reason::AnotherAuthority));
}

#[test]
fn former_authorities_are_known_until_they_end() {
    let (root, _) = realm();
    let (first, second) = (issuing(&root), issuing(&root));
    let known = |issuing: &AuthorityMaterial, before: &str, at| {
        known_authorities(&root.certificate_pem, &issuing.certificate_pem, before, at)
    };
    let count = |text: &str| text.matches("BEGIN CERTIFICATE").count();
    let before = known(&first, "", now());
    assert_eq!(count(&before), 2);
    let after = known(&second, &before, now());
    assert_eq!(count(&after), 3);
    assert_eq!(known(&second, &after, now()), after);
    assert_eq!(count(&known(&second, &after, after_days(91))), 1);
    assert_eq!(count(&known(&second, &realm().0.certificate_pem, now())), 2, "another root is none of ours");
}

#[test]
fn halves_of_two_key_pairs_do_not_fit() {
    let (one, two) = (key_pair().unwrap(), key_pair().unwrap());
    assert_eq!(check_key_pair(&one.private_pem, &one.public_pem), None);
    assert_eq!(check_key_pair(&one.private_pem, &two.public_pem), Some(Reason::KeyDoesNotFit));
    assert_eq!(check_key_pair(&one.private_pem, ""), Some(Reason::Missing(Part::PublicKey)));
    assert_eq!(check_key_pair(&one.public_pem, &one.public_pem), Some(Reason::Unreadable(Part::Key)));
}

proptest! {
    #[test]
    fn renewal_is_due_exactly_when_a_third_or_less_is_left(
        begin in 0..4_000_000_000_i64,
        life in 1..4_000_000_000_i64,
        at in 0..8_000_000_000_i64,
    ) {
        let time = |second| Timestamp::from_second(second).unwrap();
        let left = (begin + life) - at;
        prop_assert_eq!(Life { begin: time(begin), end: time(begin + life) }.is_due(time(at)), 3 * left <= life);
    }

    #[test]
    fn once_due_a_certificate_stays_due(begin in 0..1_000_000_i64, life in 1..1_000_000_i64, at in 0..2_000_000_i64) {
        let time = |second| Timestamp::from_second(second).unwrap();
        let due = |at| Life { begin: time(begin), end: time(begin + life) }.is_due(time(at));
        prop_assert!(!due(at) || due(at + 1));
        prop_assert!(due(begin + life));
        prop_assert!(!due(begin));
    }

    #[test]
    fn foreign_text_is_never_a_good_certificate(text in ".{0,200}") {
        let reason = check_certificate(&text, &text, &text, &request(), now());
        prop_assert!(reason.is_some());
    }
}
