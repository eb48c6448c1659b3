use std::collections::BTreeSet;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn ca() -> AuthorityMaterial {
    authority("kubernetes", 3650 * 86_400, now()).unwrap().into()
}

fn server() -> Request {
    Request {
        common_name: "kube-apiserver".into(),
        usages: vec![Usage::Server],
        dns_names: vec!["kubernetes.default".into()],
        addresses: vec!["10.96.0.1".parse().unwrap()],
        lifetime_seconds: 365 * 86_400,
        ..Request::default()
    }
}

fn der(pem: &str) -> Vec<u8> {
    parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

/// What a TLS library says of the chain from `issued` to `ca`, seconds after it was made.
fn verify(
    ca: &AuthorityMaterial,
    issued: &Issued,
    usage: KeyUsage,
    seconds: u64,
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(der(&ca.certificate_pem));
    let leaf = CertificateDer::from(der(&issued.certificate_pem));
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000 + seconds));
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    leaf.verify_for_usage(&[webpki::ring::ECDSA_P256_SHA256], &anchors, &[], time, usage, None, None)
        .map(|_| ())
}

#[test]
fn a_tls_library_accepts_the_chain_for_the_usage_and_names_asked_for() {
    let ca = ca();
    let issued = issue(&ca, &server(), now()).unwrap();
    assert_eq!(verify(&ca, &issued, KeyUsage::server_auth(), 0), Ok(()));
    let leaf = CertificateDer::from(der(&issued.certificate_pem));
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let valid_for = |name: &str| {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name.to_owned()).unwrap()).is_ok()
    };
    assert!(valid_for("kubernetes.default"));
    assert!(valid_for("10.96.0.1"));
    assert!(!valid_for("kubernetes"));
    assert!(!valid_for("10.96.0.2"));
}

#[test]
fn a_tls_library_refuses_another_usage_time_or_authority() {
    let ca = ca();
    let issued = issue(&ca, &server(), now()).unwrap();
    assert!(verify(&ca, &issued, KeyUsage::client_auth(), 0).is_err());
    assert!(verify(&ca, &issued, KeyUsage::server_auth(), 366 * 86_400).is_err());
    assert!(verify(&self::ca(), &issued, KeyUsage::server_auth(), 0).is_err());
}

#[test]
fn identifiers_constraints_and_usages_are_those_that_go_and_openssl_expect() {
    let ca = ca();
    let issued =
        issue(&ca, &Request { organizations: vec!["system:masters".into()], ..server() }, now()).unwrap();
    let (ca, leaf) = (der(&ca.certificate_pem), der(&issued.certificate_pem));
    let (_, ca) = parse_x509_certificate(&ca).unwrap();
    let (_, leaf) = parse_x509_certificate(&leaf).unwrap();

    assert_eq!(leaf.subject().to_string(), "O=system:masters, CN=kube-apiserver");
    assert_eq!(leaf.issuer(), ca.subject());
    let constraints = |certificate: &x509_parser::certificate::X509Certificate<'_>| {
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        (constraints.critical, constraints.value.ca)
    };
    assert_eq!(constraints(&ca), (true, true));
    assert_eq!(constraints(&leaf), (true, false));
    let ca_usage = ca.key_usage().unwrap().unwrap();
    assert!(ca_usage.critical && ca_usage.value.key_cert_sign() && ca_usage.value.crl_sign());
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.value.digital_signature() && !usage.value.key_cert_sign());

    let key_identifier = |certificate: &x509_parser::certificate::X509Certificate<'_>, authority: bool| {
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) if !authority => {
                Some(id.0.to_vec())
            }
            x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) if authority => {
                id.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        })
    };
    assert!(key_identifier(&ca, false).is_some());
    assert_eq!(key_identifier(&leaf, true), key_identifier(&ca, false));
    assert!(key_identifier(&leaf, false).is_some());
}

#[test]
fn serial_numbers_are_long_positive_and_never_the_same() {
    let ca = ca();
    let mut seen = BTreeSet::new();
    for _ in 0..32 {
        let leaf = der(&issue(&ca, &server(), now()).unwrap().certificate_pem);
        let (_, leaf) = parse_x509_certificate(&leaf).unwrap();
        assert!(leaf.raw_serial()[0] < 0x80, "a negative serial number");
        assert!(leaf.raw_serial().len() <= 20);
        assert!(leaf.serial.bits() > 64);
        assert!(seen.insert(leaf.serial.clone()));
    }
}

#[test]
fn a_certificate_never_outlives_its_authority() {
    let ca = AuthorityMaterial::from(authority("short", 10 * 86_400, now()).unwrap());
    let issued = issue(&ca, &server(), now()).unwrap();
    let end = |pem: &str| Certificate::parse(pem).unwrap().not_after();
    assert_eq!(end(&issued.certificate_pem), end(&ca.certificate_pem));
    let later = now() + SignedDuration::from_hours(11 * 24);
    assert!(
        matches!(issue(&ca, &server(), later), Err(IssueError::AuthorityExpired(name)) if name == "short")
    );
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let ca = ca();
    let refused = |change: fn(&mut Request)| {
        let mut request = server();
        change(&mut request);
        issue(&ca, &request, now()).unwrap_err()
    };
    assert!(matches!(refused(|r| r.usages.clear()), IssueError::NoUsage(_)));
    assert!(matches!(refused(|r| r.lifetime_seconds = 0), IssueError::Lifetime(0)));
    assert!(matches!(refused(|r| r.lifetime_seconds = u64::MAX), IssueError::Lifetime(_)));
    assert!(matches!(refused(|r| r.dns_names.push("knöten".into())), IssueError::DnsName { .. }));
    assert!(matches!(
        refused(|r| r.organizations = vec!["a".into(), "b".into()]),
        IssueError::SeveralOrganizations(_)
    ));
}

#[test]
fn an_authority_that_does_not_hold_together_is_refused() {
    let (one, two) = (ca(), ca());
    let mixed = AuthorityMaterial { certificate_pem: one.certificate_pem.clone(), key_pem: two.key_pem };
    assert!(matches!(issue(&mixed, &server(), now()), Err(IssueError::AuthorityKeyMismatch(_))));
    let empty = AuthorityMaterial { certificate_pem: String::new(), key_pem: one.key_pem.clone() };
    assert!(matches!(issue(&empty, &server(), now()), Err(IssueError::AuthorityCertificate)));
    let bad_key = AuthorityMaterial { certificate_pem: one.certificate_pem.clone(), key_pem: "x".into() };
    assert!(matches!(issue(&bad_key, &server(), now()), Err(IssueError::AuthorityKey)));
}

#[test]
fn private_keys_are_absent_from_debug_output() {
    let issued = authority("kubernetes", 86_400, now()).unwrap();
    let pair = key_pair().unwrap();
    let shown = format!("{issued:?} {:?} {pair:?}", AuthorityMaterial::from(issued.clone()));
    for secret in [&issued.key_pem, &pair.private_pem] {
        assert!(!shown.contains("PRIVATE KEY"));
        let line = secret.lines().nth(1).unwrap();
        assert!(!shown.contains(line));
    }
}

#[test]
fn token_keys_are_in_the_forms_that_kubernetes_reads() {
    let pair = key_pair().unwrap();
    assert!(pair.private_pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(pair.public_pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(crate::check_key_pair(&pair.private_pem, &pair.public_pem), None);
}

#[test]
fn a_root_made_again_and_the_former_one_both_verify_what_either_has_signed() {
    let former = ca();
    let years = |years: i64| now() + SignedDuration::from_hours(years * 365 * 24);
    let between: AuthorityMaterial =
        issuing_authority(&former, "between", 365 * 86_400, now()).unwrap().into();
    for moment in [years(7), years(11)] {
        let certificate_pem = authority_again(&former, 3650 * 86_400, moment).unwrap();
        let again = AuthorityMaterial { certificate_pem, ..former.clone() };
        let read = Certificate::parse(&again.certificate_pem).unwrap();
        let before = Certificate::parse(&former.certificate_pem).unwrap();
        assert_eq!(
            (read.life().begin, read.not_after()),
            (before.life().begin, moment + SignedDuration::from_hours(87_600))
        );
        assert!(Certificate::parse(&between.certificate_pem).unwrap().is_signed_by(&read));
        let issued = issue(&again, &server(), moment).unwrap();
        let seconds = u64::try_from(moment.duration_since(now()).as_secs()).unwrap();
        assert_eq!(verify(&again, &issued, KeyUsage::server_auth(), seconds), Ok(()));
        let by_former = verify(&former, &issued, KeyUsage::server_auth(), 0);
        // webpki looks at no end of an anchor; OpenSSL and Go do.
        assert_ne!(by_former, Err(webpki::Error::UnknownIssuer));
    }
    let stranger = authority("kubernetes", 86_400, now()).unwrap();
    let mixed = AuthorityMaterial { key_pem: stranger.key_pem, ..former };
    assert!(matches!(authority_again(&mixed, 86_400, now()), Err(IssueError::AuthorityKeyMismatch(_))));
    // A clock that was ahead when it was made first.
    let ahead: AuthorityMaterial = authority("kubernetes", 86_400, years(1)).unwrap().into();
    let mended = authority_again(&ahead, 86_400, now()).unwrap();
    assert!(Certificate::parse(&mended).unwrap().is_valid_at(now()));
}
