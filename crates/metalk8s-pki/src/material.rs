//! What goes in and what comes out, as PEM text.

use std::{fmt, net::IpAddr};

/// A certificate with its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PEM (PKCS #8).
    pub key_pem: String,
}

/// The authority that signs.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityMaterial {
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM (PKCS #8).
    pub key_pem: String,
}

/// A key pair without a certificate, such as the one that signs the tokens of ServiceAccounts.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPairPem {
    /// The private key, PEM (PKCS #8).
    pub private_pem: String,
    /// The public key, PEM (SubjectPublicKeyInfo).
    pub public_pem: String,
}

/// A request for a certificate, with the key that it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// The request, PEM (PKCS #10).
    pub request_pem: String,
    /// The private key, PEM (PKCS #8).
    pub key_pem: String,
}

/// A certificate that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// CN: the user, for Kubernetes.
    pub common_name: String,
    /// O: the groups, for Kubernetes. At most one.
    pub organizations: Vec<String>,
    /// What it may be used for; at least one.
    pub usages: Vec<Usage>,
    /// DNS names it is good for.
    pub dns_names: Vec<String>,
    /// Addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// Seconds it is valid for; it never outlives its authority.
    pub lifetime_seconds: u64,
}

/// What a certificate may be used for (RFC 5280, extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
}

impl From<Issued> for AuthorityMaterial {
    fn from(Issued { certificate_pem, key_pem }: Issued) -> Self {
        Self { certificate_pem, key_pem }
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorityMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityMaterial")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRequest").field("request_pem", &self.request_pem).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyPairPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPairPem").field("public_pem", &self.public_pem).finish_non_exhaustive()
    }
}
