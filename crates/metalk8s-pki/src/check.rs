//! Whether what is there is still what is wanted.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::pem::parse_x509_pem;

use crate::{
    certificate::{Certificate, public_key_fits},
    life::Life,
    material::Request,
};

/// Why a certificate, an authority, a key pair or a kubeconfig must be made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A part is not there.
    Missing(Part),
    /// A part is there and is not what it should be.
    Unreadable(Part),
    /// It is valid only later: the clock was wrong then, or is now.
    NotYetValid(Timestamp),
    /// Its life is over.
    Expired(Timestamp),
    /// Two thirds of its life are over.
    Due(Timestamp),
    /// It names somebody else.
    AnotherSubject {
        /// Whom it names, such as `O=system:nodes, CN=system:node:n1`.
        found: String,
    },
    /// It is good for other names or addresses.
    OtherNames {
        /// Names and addresses it is good for.
        found: Vec<String>,
    },
    /// It may be used for something else.
    OtherUsages,
    /// Another authority signed it.
    AnotherAuthority,
    /// It is no authority, or one that may not sign.
    NoAuthority,
    /// The key belongs to another certificate.
    KeyDoesNotFit,
    /// The kubeconfig leads elsewhere.
    AnotherServer {
        /// Where it leads.
        found: String,
    },
    /// The kubeconfig calls the cluster differently.
    AnotherCluster {
        /// How it calls it.
        found: String,
    },
}

/// A part that can be missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate.
    Certificate,
    /// The private key.
    Key,
    /// The public key.
    PublicKey,
    /// The authority's certificate.
    Authority,
    /// The kubeconfig.
    Kubeconfig,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::PublicKey => "public key",
            Self::Authority => "authority's certificate",
            Self::Kubeconfig => "kubeconfig",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(part) => write!(f, "the {part} is missing"),
            Self::Unreadable(part) => write!(f, "the {part} cannot be read"),
            Self::NotYetValid(from) => write!(f, "it is valid only from {from} on"),
            Self::Expired(end) => write!(f, "it expired at {end}"),
            Self::Due(end) => write!(f, "two thirds of its life are over, it expires at {end}"),
            Self::AnotherSubject { found } => write!(f, "it names `{found}`"),
            Self::OtherNames { found } if found.is_empty() => f.write_str("it is good for no name"),
            Self::OtherNames { found } => write!(f, "it is good for {}", found.join(", ")),
            Self::OtherUsages => f.write_str("it may be used for something else"),
            Self::AnotherAuthority => f.write_str("another authority signed it"),
            Self::NoAuthority => f.write_str("it is no certificate of an authority"),
            Self::KeyDoesNotFit => f.write_str("key and certificate do not belong together"),
            Self::AnotherServer { found } => write!(f, "it leads to `{found}`"),
            Self::AnotherCluster { found } => write!(f, "it calls the cluster `{found}`"),
        }
    }
}

/// Why the certificate must be made anew; `None` where it is good. Empty text means that nothing is there.
///
/// `ca_pem` is the root. Whoever signed in its place must follow the certificate, as [`issue`](crate::issue) writes
/// it. The lifetime of the request is not compared: a certificate lives as long as it was made for.
pub fn check_certificate(
    certificate_pem: &str,
    key_pem: &str,
    ca_pem: &str,
    request: &Request,
    now: Timestamp,
) -> Option<Reason> {
    let (certificate, ca) = match read_signed(certificate_pem, key_pem, ca_pem) {
        Ok(read) => read,
        Err(reason) => return Some(reason),
    };
    if !leads_to(&ca, &certificate, certificate_pem, now) {
        return Some(Reason::AnotherAuthority);
    }
    if certificate.common_names() != [request.common_name.as_str()]
        || certificate.organizations() != request.organizations
    {
        return Some(Reason::AnotherSubject { found: certificate.subject() });
    }
    let names = certificate.names();
    let wanted: BTreeSet<String> =
        request.dns_names.iter().cloned().chain(request.addresses.iter().map(IpAddr::to_string)).collect();
    if names != wanted {
        return Some(Reason::OtherNames { found: names.into_iter().collect() });
    }
    if certificate.usages() != request.usages.iter().copied().collect() {
        return Some(Reason::OtherUsages);
    }
    check_life(&certificate, now)
}

/// Why the authority cannot serve, or should be renewed; `None` where it is good. Empty text means that nothing is
/// there. One that is only due, or whose life is over, is good but for that: its certificate can be made anew with its
/// key ([`authority_again`](crate::authority_again)).
pub fn check_authority(
    certificate_pem: &str,
    key_pem: &str,
    common_name: &str,
    now: Timestamp,
) -> Option<Reason> {
    let certificate = match read_pair(certificate_pem, key_pem).and_then(fitting) {
        Ok(certificate) => certificate,
        Err(reason) => return Some(reason),
    };
    if !certificate.is_authority() {
        return Some(Reason::NoAuthority);
    }
    if certificate.common_names() != [common_name] {
        return Some(Reason::AnotherSubject { found: certificate.subject() });
    }
    check_life(&certificate, now)
}

/// Why an authority that signs in a root's place must be made anew; `None` where it is good. Empty text means that
/// nothing is there.
pub fn check_issuing_authority(
    certificate_pem: &str,
    key_pem: &str,
    root_pem: &str,
    common_name: &str,
    now: Timestamp,
) -> Option<Reason> {
    let (certificate, root) = match read_signed(certificate_pem, key_pem, root_pem) {
        Ok(read) => read,
        Err(reason) => return Some(reason),
    };
    if !certificate.is_authority() {
        return Some(Reason::NoAuthority);
    }
    if !certificate.is_signed_by(&root) {
        return Some(Reason::AnotherAuthority);
    }
    if certificate.common_names() != [common_name] {
        return Some(Reason::AnotherSubject { found: certificate.subject() });
    }
    check_life(&certificate, now)
}

/// A root, the authority that signs in its place, and those that did so before and are valid still: what must be
/// known by whoever is shown certificates without their chain. `before` is what this function returned the last
/// time, or empty. Text that cannot be read is left out.
pub fn known_authorities(root_pem: &str, issuing_pem: &str, before: &str, now: Timestamp) -> String {
    let Some(root) = Certificate::parse(root_pem) else { return String::new() };
    let mut pems = vec![root.pem()];
    let former = Certificate::parse_all(before).unwrap_or_default();
    for certificate in Certificate::parse(issuing_pem).into_iter().chain(former) {
        let pem = certificate.pem();
        if certificate.is_signed_by(&root) && certificate.is_valid_at(now) && !pems.contains(&pem) {
            pems.push(pem);
        }
    }
    pems.concat()
}

/// Why the key pair must be made anew; `None` where it is good. Empty text means that nothing is there.
pub fn check_key_pair(private_pem: &str, public_pem: &str) -> Option<Reason> {
    for (text, part) in [(private_pem, Part::Key), (public_pem, Part::PublicKey)] {
        if text.trim().is_empty() {
            return Some(Reason::Missing(part));
        }
    }
    let Ok(key) = KeyPair::from_pem(private_pem) else { return Some(Reason::Unreadable(Part::Key)) };
    let Ok((_, public)) = parse_x509_pem(public_pem.as_bytes()) else {
        return Some(Reason::Unreadable(Part::PublicKey));
    };
    (key.subject_public_key_info() != public.contents).then_some(Reason::KeyDoesNotFit)
}

/// Whether the root signed the certificate, or an authority that follows it in `pem` and that the root signed.
fn leads_to(root: &Certificate, certificate: &Certificate, pem: &str, now: Timestamp) -> bool {
    if certificate.is_signed_by(root) {
        return true;
    }
    let chain = Certificate::parse_all(pem).unwrap_or_default();
    chain.iter().skip(1).any(|between| {
        between.is_authority()
            && between.is_signed_by(root)
            && between.is_valid_at(now)
            && certificate.is_signed_by(between)
    })
}

/// The life of a certificate, and whether it is time to renew it.
fn check_life(certificate: &Certificate, now: Timestamp) -> Option<Reason> {
    let life = certificate.life();
    let Life { begin, end } = life;
    if now < begin {
        Some(Reason::NotYetValid(begin))
    } else if now >= end {
        Some(Reason::Expired(end))
    } else if life.is_due(now) {
        Some(Reason::Due(end))
    } else {
        None
    }
}

fn read_certificate(pem: &str, part: Part) -> Result<Certificate, Reason> {
    if pem.trim().is_empty() {
        return Err(Reason::Missing(part));
    }
    Certificate::parse(pem).ok_or(Reason::Unreadable(part))
}

fn read_pair(certificate_pem: &str, key_pem: &str) -> Result<(Certificate, KeyPair), Reason> {
    let certificate = read_certificate(certificate_pem, Part::Certificate)?;
    if key_pem.trim().is_empty() {
        return Err(Reason::Missing(Part::Key));
    }
    let key = KeyPair::from_pem(key_pem).map_err(|_| Reason::Unreadable(Part::Key))?;
    Ok((certificate, key))
}

fn fitting((certificate, key): (Certificate, KeyPair)) -> Result<Certificate, Reason> {
    if public_key_fits(&certificate, &key) { Ok(certificate) } else { Err(Reason::KeyDoesNotFit) }
}

/// A certificate whose key is beside it, and the authority above it.
fn read_signed(
    certificate_pem: &str,
    key_pem: &str,
    ca_pem: &str,
) -> Result<(Certificate, Certificate), Reason> {
    let pair = read_pair(certificate_pem, key_pem)?;
    let ca = read_certificate(ca_pem, Part::Authority)?;
    Ok((fitting(pair)?, ca))
}

#[cfg(test)]
mod tests;
