//! Calls of HTTPS servers of the cluster that are no Kubernetes API: etcd, repositories, health of API servers.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The largest answer that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// A client that trusts one authority.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A key or certificate that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be used")]
pub(crate) struct KeyFileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("no answer")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl Https {
    /// A client that trusts the authority in this file, and shows the certificate and key of these two.
    ///
    /// # Errors
    /// When a file cannot be read, or has not what it should.
    pub(crate) fn new(authority: &Path, identity: Option<(&Path, &Path)>) -> Result<Self, KeyFileError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            roots.add(certificate).map_err(|error| unusable(authority, error))?;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((chain, key_path)) => {
                let key = PrivateKeyDer::from_pem_slice(&read(key_path)?);
                let key = key.map_err(|error| unusable(key_path, error))?;
                config
                    .with_client_auth_cert(certificates(chain)?, key)
                    .map_err(|error| unusable(key_path, error))?
            }
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// One call; a body is JSON.
    ///
    /// # Errors
    /// When no whole answer comes within `patience`.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        accept: &str,
        body: String,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let asked = async {
            let request = request(method, url, accept, body)?;
            let answer = self.client.request(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = Limited::new(answer.into_body(), LIMIT).collect().await?.to_bytes();
            Ok::<_, Box<dyn Error + Send + Sync>>(Answer { status, headers, body })
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut(patience)),
        }
    }

    /// Writes what the answer of one call is to `sink`, at most `limit` bytes of it; a body is JSON.
    ///
    /// # Errors
    /// When it does not come whole within `patience`, is larger, or is not there.
    pub(crate) async fn download(
        &self,
        method: Method,
        url: &str,
        body: String,
        sink: &mut (impl Write + Send),
        limit: u64,
        patience: Duration,
    ) -> Result<(), CallError> {
        let asked = async {
            let request = request(method, url, "*/*", body)?;
            let answer = self.client.request(request).await?;
            if answer.status() != StatusCode::OK {
                return Err(format!("the answer is {}", answer.status()).into());
            }
            let mut body = answer.into_body();
            let mut left = limit;
            while let Some(frame) = body.frame().await {
                let Ok(bytes) = frame?.into_data() else { continue };
                left =
                    left.checked_sub(bytes.len() as u64).ok_or(format!("it has more than {limit} bytes"))?;
                sink.write_all(&bytes)?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.map_err(CallError::Failed),
            Err(_) => Err(CallError::TimedOut(patience)),
        }
    }
}

fn request(
    method: Method,
    url: &str,
    accept: &str,
    body: String,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, accept)
        .body(Full::new(Bytes::from(body)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, KeyFileError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    read.map_err(|error| unusable(path, error))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    fs::read(path).map_err(|source| KeyFileError { path: path.to_owned(), source })
}

fn unusable(path: &Path, error: impl ToString) -> KeyFileError {
    KeyFileError { path: path.to_owned(), source: io::Error::other(error.to_string()) }
}
