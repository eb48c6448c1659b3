//! Requests for certificates that came from elsewhere (PKCS #10, RFC 2986).

use std::{collections::BTreeSet, net::IpAddr};

use rcgen::{
    CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose, KeyUsagePurpose, PublicKey,
    SanType,
};

use crate::material::{Request, Usage};

/// The largest request that is read, in bytes.
const LIMIT: usize = 16 << 10;
/// The longest name that is accepted, or told, in bytes.
const LONGEST_NAME: usize = 256;

/// A request that was read, and whose signature shows that whoever made it has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedCertificate {
    public_key: PublicKey,
    common_name: String,
    organizations: Vec<String>,
    usages: BTreeSet<Usage>,
    names: BTreeSet<String>,
}

/// Why a request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadRequestError {
    /// Nobody needs that many names.
    #[error("the request has {0} bytes; {LIMIT} are accepted")]
    TooLarge(usize),
    /// It is none, or its signature is wrong, or it asks for an extension that we do not give.
    #[error("the request cannot be read, or was not signed by the key that it is for")]
    Unreadable(#[source] rcgen::Error),
    /// It names somebody in a way that no request of ours does.
    #[error("the request asks for {0}, which is never given")]
    Strange(String),
}

impl RequestedCertificate {
    /// Reads a request in PEM and checks its signature.
    ///
    /// # Errors
    /// When it is too large, damaged, not signed by its own key, or asks for what is never given.
    pub fn parse(pem: &str) -> Result<Self, ReadRequestError> {
        if pem.len() > LIMIT {
            return Err(ReadRequestError::TooLarge(pem.len()));
        }
        let CertificateSigningRequestParams { params, public_key } =
            CertificateSigningRequestParams::from_pem(pem).map_err(|error| match error {
                // It would tell the name as it was sent.
                rcgen::Error::InvalidAsn1String(_) => strange("a name in a foreign encoding"),
                other => ReadRequestError::Unreadable(other),
            })?;
        let mut common_name = None;
        let mut organizations = Vec::new();
        for (kind, value) in params.distinguished_name.iter() {
            let text = text(value).ok_or_else(|| strange("a name in a foreign encoding"))?;
            if text.len() > LONGEST_NAME || text.contains(char::is_control) {
                return Err(strange("a name that is too long, or has control characters"));
            }
            match kind {
                DnType::CommonName if common_name.is_none() => common_name = Some(text),
                DnType::OrganizationName => organizations.push(text),
                other => return Err(strange(format!("the name `{other:?}`"))),
            }
        }
        if params.key_usages.iter().any(|usage| *usage != KeyUsagePurpose::DigitalSignature) {
            return Err(strange("another usage of its key than signing"));
        }
        let usages = params.extended_key_usages.iter().map(|usage| match usage {
            ExtendedKeyUsagePurpose::ServerAuth => Ok(Usage::Server),
            ExtendedKeyUsagePurpose::ClientAuth => Ok(Usage::Client),
            other => Err(strange(format!("the usage `{other:?}`"))),
        });
        let names = params.subject_alt_names.iter().map(|name| match name {
            SanType::DnsName(name) => Ok(name.as_str().to_owned()),
            SanType::IpAddress(address) => Ok(address.to_string()),
            other => Err(strange(format!("the name `{other:?}`"))),
        });
        Ok(Self {
            public_key,
            common_name: common_name.ok_or_else(|| strange("nobody in particular"))?,
            organizations,
            usages: usages.collect::<Result<_, _>>()?,
            names: names.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it asks for exactly this. How long it shall live is not its to say.
    pub fn asks_for(&self, request: &Request) -> bool {
        let Request { common_name, organizations, usages, dns_names, addresses, lifetime_seconds: _ } =
            request;
        let names: BTreeSet<String> =
            dns_names.iter().cloned().chain(addresses.iter().map(IpAddr::to_string)).collect();
        self.common_name == *common_name
            && self.organizations == *organizations
            && self.usages == usages.iter().copied().collect()
            && self.names == names
    }

    /// Whom it names, and what it would be good for, for people.
    pub fn summary(&self) -> String {
        let mut text = format!("CN={}", self.common_name);
        for organization in &self.organizations {
            text += &format!(", O={organization}");
        }
        if !self.names.is_empty() {
            text += &format!(" for {}", self.names.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        text
    }

    /// Whom it names.
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

fn strange(what: impl Into<String>) -> ReadRequestError {
    let what: String = what.into();
    ReadRequestError::Strange(what.chars().take(LONGEST_NAME).collect())
}

fn text(value: &DnValue) -> Option<String> {
    match value {
        DnValue::Utf8String(text) => Some(text.clone()),
        DnValue::PrintableString(text) => Some(text.as_str().to_owned()),
        DnValue::Ia5String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{authority, certificate_request, check_certificate, sign_request};

    fn wish() -> Request {
        Request {
            common_name: "system:node:node-1".into(),
            organizations: vec!["system:nodes".into()],
            usages: vec![Usage::Server, Usage::Client],
            dns_names: vec!["node-1".into()],
            addresses: vec!["10.0.0.1".parse().unwrap()],
            lifetime_seconds: 365 * 86_400,
        }
    }

    #[test]
    fn a_request_is_read_back_and_asks_for_that_alone() {
        let made = certificate_request(&wish()).unwrap();
        let read = RequestedCertificate::parse(&made.request_pem).unwrap();
        assert!(read.asks_for(&wish()));
        assert_eq!(read.summary(), "CN=system:node:node-1, O=system:nodes for 10.0.0.1, node-1");
        let others = [
            Request { common_name: "system:node:node-2".into(), ..wish() },
            Request { organizations: vec!["system:masters".into()], ..wish() },
            Request { organizations: Vec::new(), ..wish() },
            Request { usages: vec![Usage::Client], ..wish() },
            Request { dns_names: vec!["node-1".into(), "node-2".into()], ..wish() },
            Request { addresses: Vec::new(), ..wish() },
        ];
        for other in others {
            assert!(!read.asks_for(&other), "{other:?}");
        }
    }

    #[test]
    fn a_signed_request_fits_the_key_that_was_made_for_it() {
        let now = Timestamp::now();
        let ca = authority("kubernetes", 10 * 86_400, now).unwrap().into();
        let made = certificate_request(&wish()).unwrap();
        let read = RequestedCertificate::parse(&made.request_pem).unwrap();
        let certificate = sign_request(&ca, &read, &wish(), now).unwrap();
        let reason = check_certificate(&certificate, &made.key_pem, &ca.certificate_pem, &wish(), now);
        assert_eq!(reason, None);
    }

    #[test]
    fn what_somebody_changed_on_the_way_is_refused() {
        let made = certificate_request(&wish()).unwrap();
        let mut der = pem::parse(&made.request_pem).unwrap();
        let last = der.contents().len() - 1;
        let mut bytes = der.into_contents();
        bytes[last] ^= 1;
        der = pem::Pem::new("CERTIFICATE REQUEST", bytes);
        assert!(matches!(
            RequestedCertificate::parse(&pem::encode(&der)),
            Err(ReadRequestError::Unreadable(_))
        ));
        assert!(matches!(RequestedCertificate::parse(""), Err(ReadRequestError::Unreadable(_))));
        assert!(matches!(
            RequestedCertificate::parse(&"x".repeat(LIMIT + 1)),
            Err(ReadRequestError::TooLarge(_))
        ));
    }

    #[test]
    fn a_request_for_an_authority_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "x");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        assert!(matches!(RequestedCertificate::parse(&pem), Err(ReadRequestError::Strange(_))));
    }
}
