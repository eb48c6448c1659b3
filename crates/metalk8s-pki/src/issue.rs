//! Making authorities, certificates and keys.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};

use crate::{
    certificate::{Certificate, public_key_fits},
    material::{AuthorityMaterial, Issued, KeyPairPem, NewRequest, Request, Usage},
    requested::RequestedCertificate,
};

/// Certificates are valid from a little before now, for machines whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// What an authority's key may be used for.
const AUTHORITY_USAGES: [KeyUsagePurpose; 3] =
    [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The operating system gave no randomness, or the library refused.
    #[error("could not make a private key")]
    Key(#[source] rcgen::Error),
    /// The authority's certificate is not one.
    #[error("the authority's certificate cannot be read")]
    AuthorityCertificate,
    /// The authority's key cannot be read; what the library says could quote the key.
    #[error("the authority's private key cannot be read; it must be PKCS #8 in PEM")]
    AuthorityKey,
    /// The authority's key belongs to another certificate.
    #[error("the private key of the authority `{0}` does not belong to its certificate")]
    AuthorityKeyMismatch(String),
    /// The authority's life is over.
    #[error("the authority `{0}` is not valid any more")]
    AuthorityExpired(String),
    /// The library keeps one organisation per name.
    #[error("the certificate `{0}` asks for more than one organisation")]
    SeveralOrganizations(String),
    /// It would be good for nothing.
    #[error("the certificate `{0}` asks for no usage")]
    NoUsage(String),
    /// A name that cannot stand in a certificate.
    #[error("the certificate `{common_name}` asks for the DNS name `{name}`, which is not ASCII")]
    DnsName {
        /// The certificate.
        common_name: String,
        /// The name.
        name: String,
    },
    /// Not a time that a certificate can name.
    #[error("a life of {0} s ends later than a certificate can say, or never begins")]
    Lifetime(u64),
    /// The library refused.
    #[error("could not sign the certificate `{common_name}`")]
    Sign {
        /// The certificate.
        common_name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// Makes a self-signed authority with a new key.
pub fn authority(common_name: &str, lifetime_seconds: u64, now: Timestamp) -> Result<Issued, IssueError> {
    let key = KeyPair::generate().map_err(IssueError::Key)?;
    let certificate = root_params(common_name, now, end_of_life(now, lifetime_seconds)?)
        .self_signed(&key)
        .map_err(|source| IssueError::Sign { common_name: common_name.to_owned(), source })?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Makes the certificate of a self-signed authority anew with the key that it has, also after its end: whatever it has
/// signed stays good, and whoever knows the former certificate verifies by it until it ends.
///
/// It is valid from when the former one was, so a clock that is ahead makes none that is valid only later.
pub fn authority_again(
    current: &AuthorityMaterial,
    lifetime_seconds: u64,
    now: Timestamp,
) -> Result<String, IssueError> {
    let (former, key) = with_key(current)?;
    let common_name = former.common_name();
    let mut params = root_params(&common_name, now, end_of_life(now, lifetime_seconds)?);
    params.not_before = SystemTime::from(former.life().begin.min(now - BACKDATED)).into();
    let certificate = params.self_signed(&key).map_err(|source| IssueError::Sign { common_name, source })?;
    Ok(certificate.pem())
}

fn root_params(common_name: &str, now: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = params(common_name, &[], now, end);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = AUTHORITY_USAGES.into();
    params
}

/// Makes an authority with a new key that the root signs, and that may sign no other authority (RFC 5280,
/// pathLenConstraint of 0).
///
/// It ends with its root if that comes first.
pub fn issuing_authority(
    root: &AuthorityMaterial,
    common_name: &str,
    lifetime_seconds: u64,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let (root_certificate, issuer) = signer(root, now)?;
    let key = KeyPair::generate().map_err(IssueError::Key)?;
    let end = end_of_life(now, lifetime_seconds)?.min(root_certificate.not_after());
    let mut params = params(common_name, &[], now, end);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = AUTHORITY_USAGES.into();
    params.use_authority_key_identifier_extension = true;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(|source| IssueError::Sign { common_name: common_name.to_owned(), source })?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Makes a certificate with a new key, signed by the authority. One that is no root follows in the PEM text, for
/// whoever knows the root alone.
///
/// It ends with its authority if that comes first.
pub fn issue(authority: &AuthorityMaterial, request: &Request, now: Timestamp) -> Result<Issued, IssueError> {
    let key = KeyPair::generate().map_err(IssueError::Key)?;
    let certificate_pem = sign(authority, request, &key, now)?;
    Ok(Issued { certificate_pem, key_pem: key.serialize_pem() })
}

/// Signs for the key of somebody else's request; as with [`issue`], an authority that is no root follows. What the certificate says comes from `request` alone; the
/// caller has compared it with what was asked for ([`RequestedCertificate`]).
///
/// It ends with its authority if that comes first.
pub fn sign_request(
    authority: &AuthorityMaterial,
    requested: &RequestedCertificate,
    request: &Request,
    now: Timestamp,
) -> Result<String, IssueError> {
    sign(authority, request, requested.public_key(), now)
}

fn sign(
    authority: &AuthorityMaterial,
    request: &Request,
    key: &impl PublicKeyData,
    now: Timestamp,
) -> Result<String, IssueError> {
    let name = || request.common_name.clone();
    if request.organizations.len() > 1 {
        return Err(IssueError::SeveralOrganizations(name()));
    }
    if request.usages.is_empty() {
        return Err(IssueError::NoUsage(name()));
    }
    let (signer, issuer) = signer(authority, now)?;
    let end = end_of_life(now, request.lifetime_seconds)?.min(signer.not_after());
    let mut params = params(&request.common_name, &request.organizations, now, end);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    wish(&mut params, request)?;
    let certificate =
        params.signed_by(key, &issuer).map_err(|source| IssueError::Sign { common_name: name(), source })?;
    let chain = if signer.is_root() { String::new() } else { signer.pem() };
    Ok(certificate.pem() + &chain)
}

/// An authority that can sign now: its certificate, and its key with what it writes into others.
fn signer(
    authority: &AuthorityMaterial,
    now: Timestamp,
) -> Result<(Certificate, Issuer<'static, KeyPair>), IssueError> {
    let (certificate, key) = with_key(authority)?;
    if certificate.not_after() <= now {
        return Err(IssueError::AuthorityExpired(certificate.common_name()));
    }
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, key)
        .map_err(|_| IssueError::AuthorityCertificate)?;
    Ok((certificate, issuer))
}

/// An authority's certificate, and the key that belongs to it.
fn with_key(authority: &AuthorityMaterial) -> Result<(Certificate, KeyPair), IssueError> {
    let certificate =
        Certificate::parse(&authority.certificate_pem).ok_or(IssueError::AuthorityCertificate)?;
    let key = KeyPair::from_pem(&authority.key_pem).map_err(|_| IssueError::AuthorityKey)?;
    if !public_key_fits(&certificate, &key) {
        return Err(IssueError::AuthorityKeyMismatch(certificate.common_name()));
    }
    Ok((certificate, key))
}

/// Makes a new key and a request for a certificate (PKCS #10), to be signed by an authority elsewhere.
pub fn certificate_request(request: &Request) -> Result<NewRequest, IssueError> {
    let key = KeyPair::generate().map_err(IssueError::Key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&request.common_name, &request.organizations);
    wish(&mut params, request)?;
    let made = params
        .serialize_request(&key)
        .and_then(|made| made.pem())
        .map_err(|source| IssueError::Sign { common_name: request.common_name.clone(), source })?;
    Ok(NewRequest { request_pem: made, key_pem: key.serialize_pem() })
}

/// Names and usages of a certificate.
fn wish(params: &mut CertificateParams, request: &Request) -> Result<(), IssueError> {
    // A key on a curve cannot encipher other keys, so this is the only usage that fits it.
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    for usage in &request.usages {
        params.insert_extended_key_usage(match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        });
    }
    for dns_name in &request.dns_names {
        let text = dns_name.as_str().try_into().map_err(|_| IssueError::DnsName {
            common_name: request.common_name.clone(),
            name: dns_name.clone(),
        })?;
        params.subject_alt_names.push(SanType::DnsName(text));
    }
    params.subject_alt_names.extend(request.addresses.iter().map(|address| SanType::IpAddress(*address)));
    Ok(())
}

/// Makes a key pair for signing tokens: ECDSA on P-256, which Kubernetes uses as ES256.
pub fn key_pair() -> Result<KeyPairPem, IssueError> {
    let key = KeyPair::generate().map_err(IssueError::Key)?;
    Ok(KeyPairPem { private_pem: key.serialize_pem(), public_pem: key.public_key_pem() })
}

fn end_of_life(now: Timestamp, lifetime_seconds: u64) -> Result<Timestamp, IssueError> {
    let life =
        i64::try_from(lifetime_seconds).ok().filter(|seconds| *seconds > 0).map(SignedDuration::from_secs);
    // Certificates write years with four digits, and so does `Timestamp`.
    life.and_then(|life| now.checked_add(life).ok()).ok_or(IssueError::Lifetime(lifetime_seconds))
}

fn params(common_name: &str, organizations: &[String], now: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(common_name, organizations);
    params.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
    params.not_before = SystemTime::from(now - BACKDATED).into();
    params.not_after = SystemTime::from(end).into();
    params
}

fn subject(common_name: &str, organizations: &[String]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for organization in organizations {
        subject.push(DnType::OrganizationName, organization.as_str());
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

#[cfg(test)]
mod tests;
