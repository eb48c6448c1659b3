//! Keys, authorities and certificates. Private keys are made where they are used and never travel.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Who may read a private file, besides root. Another owner, group or mode is a difference, and is mended
/// without making the file anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readers {
    /// Name of the owner.
    pub user: String,
    /// Name of the group whose members may read it too; `None`: nobody else may.
    pub group: Option<String>,
}

/// A key pair, in two PEM files (PKCS #8, and its public half).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The private key.
    pub private: PathBuf,
    /// The public key.
    pub public: PathBuf,
    /// Who may read the private key.
    pub readers: Readers,
}

/// A file of random printable characters, for root alone, made once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandomKey {
    /// The file.
    pub path: PathBuf,
    /// Random bytes; the file holds them in base64.
    pub bytes: usize,
}

/// The root of a realm. Its key may be elsewhere: nothing but authorities that sign in its place is signed with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authority {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Who may read the key.
    pub readers: Readers,
    /// The common name, such as `kubernetes`.
    pub common_name: String,
    /// Seconds the certificate is valid for.
    pub lifetime_seconds: u64,
}

/// An authority that signs in a root's place, with its key on this host.
///
/// It is made again when two thirds of its life are over and the root's key is on this host. Without that key one
/// that is only due stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssuingAuthority {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Who may read the key.
    pub readers: Readers,
    /// The common name, such as `kubernetes-issuing`.
    pub common_name: String,
    /// Seconds the certificate is valid for.
    pub lifetime_seconds: u64,
    /// The root's certificate.
    pub root_certificate: PathBuf,
    /// The root's key, where it is on this host.
    pub root_key: PathBuf,
    /// A file of root and issuing authorities, with former ones that are valid still, for whoever is shown
    /// certificates without their chain.
    pub known: Option<PathBuf>,
}

/// A certificate with a key made on this host.
///
/// It is made again when two thirds of its life are over, when its subject, names or authority differ, or
/// when key and certificate do not fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Who may read the key.
    pub readers: Readers,
    /// The certificate of the root that it leads to.
    pub ca_certificate: PathBuf,
    /// Who signs it.
    pub signer: Signer,
    /// Whom it names.
    pub subject: Subject,
    /// What it may be used for.
    pub usages: Vec<Usage>,
    /// DNS names it is good for.
    pub dns_names: Vec<String>,
    /// Addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// Seconds it is valid for.
    pub lifetime_seconds: u64,
}

/// Who signs a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signer {
    /// This host, as the authority in these files.
    Here {
        /// Its certificate.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Whoever answers the CertificateSigningRequests (certificates.k8s.io/v1) of this signer's name.
    Api(String),
}

/// Whom a certificate names; Kubernetes reads it as user and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// CN: the user.
    pub common_name: String,
    /// O: the groups.
    pub organizations: Vec<String>,
}

/// What a certificate may be used for (RFC 5280, extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
}

/// A kubeconfig with one cluster, one user and one context, all embedded.
///
/// It holds a certificate and key of its own, renewed by the rules of [`Certificate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kubeconfig {
    /// The file.
    pub path: PathBuf,
    /// Such as `https://127.0.0.1:7443`.
    pub server: String,
    /// The name of the cluster in the file.
    pub cluster: String,
    /// The root's certificate, which is embedded and checks the server.
    pub ca_certificate: PathBuf,
    /// Who signs the client's certificate.
    pub signer: Signer,
    /// Who the client is.
    pub subject: Subject,
    /// Seconds the client's certificate is valid for.
    pub lifetime_seconds: u64,
    /// Who may read the file.
    pub readers: Readers,
}

impl Readers {
    /// Root alone.
    pub fn root() -> Self {
        Self::user("root")
    }

    /// The owner alone.
    pub fn user(name: impl Into<String>) -> Self {
        Self { user: name.into(), group: None }
    }

    /// The members of this group, too.
    #[must_use]
    pub fn and_group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(name.into());
        self
    }

    /// The permission bits; others never have any.
    pub fn mode(&self) -> u32 {
        if self.group.is_some() { 0o640 } else { 0o600 }
    }
}
