use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use metalk8s_diagnostics::{Code, Diagnose, explain};
use rustls::ServerConfig;
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Certificate and key, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has nothing of the kind that is needed.
    #[error("`{path}` has no usable {what} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// They do not belong together.
    #[error("certificate `{certificate}` and key `{key}` cannot be used together")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl Diagnose for TlsError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Read { .. } | Self::Pem { .. } => Some(explain::KEY_UNREADABLE),
            Self::Pair { .. } => Some(explain::KEY_MISMATCH),
        }
    }
}

/// Tells one state of a file from the next: inode, length, time of the last change.
type Stamp = (u64, u64, i64, i64);

/// The files, and what they said last.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: Mutex<(Option<[Stamp; 2]>, Arc<ServerConfig>)>,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let config = read(&files)?;
        Ok(Self { files, current: Mutex::new((stamps, config)) })
    }

    /// For the next connection. Files that are being renewed, or are broken, leave the one from before in use.
    pub fn acceptor(&self) -> TlsAcceptor {
        let stamps = stamps(&self.files);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps.is_some() && stamps != current.0 {
            current.0 = stamps;
            match read(&self.files) {
                Ok(config) => current.1 = config,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not read the certificate again, will use the one from before"
                ),
            }
        }
        TlsAcceptor::from(Arc::clone(&current.1))
    }
}

fn stamps(files: &TlsFiles) -> Option<[Stamp; 2]> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    Some([stamp(&files.certificate)?, stamp(&files.key)?])
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    let no = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let chain = CertificateDer::pem_slice_iter(&read(&files.certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(no(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(no(&files.key, "private key"))?;
    let pair =
        |source| TlsError::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
