//! Keys, authorities and certificates. Private keys are made where they are used and never travel.

use std::{net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A key pair, in two PEM files (PKCS #8 with mode 0600, and its public half).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The private key.
    pub private: PathBuf,
    /// The public key.
    pub public: PathBuf,
}

/// A file of random printable characters, mode 0600, made once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RandomKey {
    /// The file.
    pub path: PathBuf,
    /// Random bytes; the file holds them in base64.
    pub bytes: usize,
}

/// A certificate authority with its key on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authority {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM, mode 0600.
    pub key: PathBuf,
    /// The common name, such as `kubernetes`.
    pub common_name: String,
    /// Days the certificate is valid for.
    pub days: u32,
}

/// A certificate signed by an authority whose key is on this host, with a key made here.
///
/// It is made again when two thirds of its life are over, when its subject, names or authority differ, or
/// when key and certificate do not fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Permission bits of the key, such as `0o600`.
    pub key_mode: u32,
    /// Name of the key's owner; `None` is root.
    pub user: Option<String>,
    /// The authority's certificate.
    pub ca_certificate: PathBuf,
    /// The authority's key.
    pub ca_key: PathBuf,
    /// Whom it names.
    pub subject: Subject,
    /// What it may be used for.
    pub usages: Vec<Usage>,
    /// DNS names it is good for.
    pub dns_names: Vec<String>,
    /// Addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// Days it is valid for.
    pub days: u32,
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

/// A kubeconfig with one cluster, one user and one context, all embedded, mode 0600.
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
    /// The authority's certificate, which is embedded and checks the server.
    pub ca_certificate: PathBuf,
    /// The authority's key, which signs the client's certificate.
    pub ca_key: PathBuf,
    /// Who the client is.
    pub subject: Subject,
    /// Days the client's certificate is valid for.
    pub days: u32,
    /// Name of the file's owner; `None` is root.
    pub user: Option<String>,
}
