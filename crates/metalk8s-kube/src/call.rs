//! One call of the API: its time limit, and its failures in words.

use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

use metalk8s_engine::StateError;

/// How long a single call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the address of a Service that was never finished may stay taken: the API server frees one that no
/// Service has 60 s after it was taken (k8s.io/kubernetes, ipallocator controller).
const ORPHANED_ADDRESS: Duration = Duration::from_secs(120);

/// Why a call gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the kubeconfig `{0}` does not exist")]
    NoKubeconfig(PathBuf),
    /// The cause is left out because a parser's message quotes the text, which holds a private key.
    #[error("the kubeconfig `{0}` cannot be used: it is damaged or incomplete")]
    BadKubeconfig(PathBuf),
    #[error("the API server {server} cannot be reached")]
    Unreachable {
        server: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("the API server {server} and the kubeconfig do not trust each other")]
    Untrusted {
        server: String,
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    #[error("the API server {server} did not answer within {} s", CALL_TIMEOUT.as_secs())]
    TimedOut { server: String },
    #[error("{message}")]
    Refused { message: String, refusal: Refusal },
    #[error("the cluster knows no kind `{kind}` in `{api_version}`")]
    UnknownKind { api_version: String, kind: String },
    #[error("the answer of the API server could not be understood")]
    Answer(#[source] serde_json::Error),
    /// A wish that no cluster could fulfil.
    #[error("{0}")]
    Mistake(String),
}

/// Why the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The object, or something it needs, does not exist.
    NotFound,
    /// Somebody else changed or owns it.
    Conflict,
    /// The server is busy or not ready; later it may do it.
    NotNow,
    /// A Service's address is taken, maybe by a creation that was cut off.
    AddressTaken,
    /// This user may not do it, as far as this API server has heard: rights that have just been given come to each of
    /// several servers in its own time.
    Forbidden,
    /// It will not do it.
    Final,
}

impl CallError {
    /// Whether trying again can help.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::NoKubeconfig(_)
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            // A kind shows up some seconds after its CustomResourceDefinition.
            | Self::UnknownKind { .. } => true,
            Self::Refused { refusal, .. } => matches!(refusal, Refusal::NotNow | Refusal::AddressTaken),
            Self::BadKubeconfig(_) | Self::Untrusted { .. } | Self::Answer(_) | Self::Mistake(_) => false,
        }
    }

    /// Whether the connection should be made anew before the next call.
    pub(crate) fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Untrusted { .. } | Self::TimedOut { .. })
    }

    pub(crate) fn is(&self, wanted: Refusal) -> bool {
        matches!(self, Self::Refused { refusal, .. } if *refusal == wanted)
    }

    /// This failure as the engine sees it.
    pub(crate) fn while_doing(self, doing: impl Into<String>) -> StateError {
        let error = StateError::new(doing);
        let error = match &self {
            Self::Refused { refusal: Refusal::AddressTaken, .. } => error.passing_within(ORPHANED_ADDRESS),
            passing if passing.is_retryable() => error.retryable(),
            _ => error,
        };
        error.because(self)
    }

    fn from_kube(server: &str, error: kube::Error) -> Self {
        let server = server.to_owned();
        match error {
            kube::Error::Api(status) => {
                let refusal = refusal(status.code, &status.message);
                let message = match status.message.as_str() {
                    "" if status.reason.is_empty() => "the API server gives no reason".to_owned(),
                    "" => format!("the API server says only `{}`", status.reason),
                    message => format!("the API server says: {message}"),
                };
                Self::Refused { message, refusal }
            }
            kube::Error::SerdeError(source) => Self::Answer(source),
            other => {
                let source = root_cause(&other);
                if is_about_trust(&other) {
                    Self::Untrusted { server, source }
                } else {
                    Self::Unreachable { server, source }
                }
            }
        }
    }
}

/// Waits for the answer of one call, but not for ever.
pub(crate) async fn call<T>(
    server: &str,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| CallError::from_kube(server, error)),
        Err(_) => Err(CallError::TimedOut { server: server.to_owned() }),
    }
}

/// `None` instead of an error where nothing is there.
pub(crate) fn if_found<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is(Refusal::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refusal(code: u16, message: &str) -> Refusal {
    match code {
        404 => Refusal::NotFound,
        409 => Refusal::Conflict,
        // Server-side apply answers so to fields that the kind does not have (structured-merge-diff).
        500 if message.contains("failed to create typed patch object") => Refusal::Final,
        408 | 429 | 500.. => Refusal::NotNow,
        422 if message.contains("provided IP is already allocated") => Refusal::AddressTaken,
        // A server that has just started forbids what its admission plug-ins cannot judge yet
        // (k8s.io/apiserver, admission.WaitForReady).
        403 if message.contains("not yet ready to handle request") => Refusal::NotNow,
        403 => Refusal::Forbidden,
        _ => Refusal::Final,
    }
}

/// Looks through the layers of an error; an `io::Error` hides the one inside from its list of sources.
fn is_about_trust(error: &(dyn StdError + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_about_trust(inside))
        || error.source().is_some_and(is_about_trust)
}

/// The innermost cause, as a sentence: the layers above it only say that something went wrong.
fn root_cause(error: &kube::Error) -> Box<dyn StdError + Send + Sync> {
    let mut root: &dyn StdError = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> CallError {
        let status = kube::core::Status::failure(message, "").with_code(code).boxed();
        CallError::from_kube("https://127.0.0.1:7443", kube::Error::Api(status))
    }

    #[test]
    fn a_busy_or_starting_server_is_asked_again_and_a_refusal_is_not() {
        for code in [408, 429, 500, 503, 504] {
            assert!(refused(code, "busy").is_retryable(), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 422] {
            assert!(!refused(code, "no").is_retryable(), "{code}");
        }
        assert!(
            refused(403, "namespaces \"a\" is forbidden: not yet ready to handle request").is_retryable()
        );
    }

    #[test]
    fn an_address_left_behind_by_a_cut_off_creation_is_waited_for() {
        let error = refused(
            422,
            "Service \"kube-dns\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.10\"]: failed to allocate IP 10.96.0.10: provided IP is already allocated",
        );
        assert!(error.is_retryable());
        assert_eq!(error.while_doing("could not apply").passes_within, Some(ORPHANED_ADDRESS));
        assert_eq!(refused(503, "busy").while_doing("could not apply").passes_within, None);
    }

    #[test]
    fn a_refusal_quotes_the_server_and_no_status_code() {
        let error = refused(422, "Deployment.apps \"a\" is invalid: spec.selector: Required value");
        let shown = error.while_doing("could not apply Deployment `n/a`");
        let cause = std::error::Error::source(&shown).unwrap().to_string();
        assert_eq!(
            cause,
            "the API server says: Deployment.apps \"a\" is invalid: spec.selector: Required value"
        );
        assert!(!format!("{shown:?} {cause}").contains("422"));
    }

    #[test]
    fn a_mistrusted_certificate_is_found_inside_other_errors() {
        let rustls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = kube::Error::Service(Box::new(io::Error::other(io::Error::other(rustls))));
        let error = CallError::from_kube("https://127.0.0.1:7443", wrapped);
        assert!(matches!(error, CallError::Untrusted { .. }));
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_refused_connection_is_asked_again() {
        let wrapped = kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let error = CallError::from_kube("https://127.0.0.1:7443", wrapped);
        assert!(error.is_retryable() && error.is_broken_connection());
        assert_eq!(error.to_string(), "the API server https://127.0.0.1:7443 cannot be reached");
    }
}
