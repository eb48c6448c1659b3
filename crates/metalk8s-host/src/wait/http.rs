//! One question over HTTP or HTTPS, and the status of its answer.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{Request, StatusCode, Uri, header::HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::Host;

const CONNECT: Duration = Duration::from_secs(2);

/// Where to ask.
#[derive(Debug)]
pub(super) struct Address {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("it is no address of HTTP or HTTPS")]
    Address,
    #[error("an address of HTTPS needs the authority that signed its server")]
    NoAuthority,
    #[error("`{path}` does not exist")]
    Missing { path: PathBuf },
    #[error("`{path}` cannot be used")]
    Pem { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no connection within {} s", CONNECT.as_secs())]
    Slow,
    #[error("no trust")]
    Tls(#[source] io::Error),
    #[error("no answer")]
    Http(#[from] hyper::Error),
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, AskError> {
        let uri: Uri = url.parse().map_err(|_| AskError::Address)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(AskError::Address),
        };
        let host = uri.host().ok_or(AskError::Address)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { uri, host, port, tls })
    }
}

/// The status of the answer to a GET. Certificates are read each time: they may come while one waits.
pub(super) async fn ask(
    files: &Host,
    address: &Address,
    ca: Option<&Path>,
    client: Option<&(PathBuf, PathBuf)>,
) -> Result<StatusCode, AskError> {
    let tls = if address.tls { Some(tls(files, ca.ok_or(AskError::NoAuthority)?, client)?) } else { None };
    let connecting = TcpStream::connect((&*address.host, address.port));
    let stream =
        timeout(CONNECT, connecting).await.map_err(|_| AskError::Slow)?.map_err(AskError::Connect)?;
    let Some(tls) = tls else { return get(address, stream).await };
    let name = match address.host.parse::<IpAddr>() {
        Ok(ip) => ServerName::from(ip),
        Err(_) => ServerName::try_from(address.host.clone()).map_err(|_| AskError::Address)?,
    };
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(AskError::Tls)?;
    get(address, stream).await
}

async fn get(
    address: &Address,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, AskError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = address.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = address.uri.authority().map_or(&*address.host, |authority| authority.as_str());
    let request = Request::get(path).header(HOST, host).body(Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.map_err(|_| AskError::Address)?).await;
    // The body is nobody's concern.
    connection.abort();
    Ok(answer?.status())
}

fn tls(files: &Host, ca: &Path, client: Option<&(PathBuf, PathBuf)>) -> Result<ClientConfig, AskError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(files, ca)? {
        roots.add(certificate).map_err(|err| bad_pem(ca, err))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|err| bad_pem(ca, err))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = client else { return Ok(config.with_no_client_auth()) };
    let der = PrivateKeyDer::from_pem_slice(&read(files, key)?).map_err(|err| bad_pem(key, err))?;
    config
        .with_client_auth_cert(certificates(files, certificate)?, der)
        .map_err(|err| bad_pem(certificate, err))
}

fn certificates(files: &Host, path: &Path) -> Result<Vec<CertificateDer<'static>>, AskError> {
    CertificateDer::pem_slice_iter(&read(files, path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|err| bad_pem(path, err))
}

fn read(files: &Host, path: &Path) -> Result<Vec<u8>, AskError> {
    files
        .read(path)
        .map_err(|err| bad_pem(path, err))?
        .ok_or_else(|| AskError::Missing { path: path.to_owned() })
}

fn bad_pem(path: &Path, err: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AskError {
    AskError::Pem { path: path.to_owned(), source: err.into() }
}
