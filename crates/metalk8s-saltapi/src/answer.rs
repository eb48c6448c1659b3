//! Answers and refusals, in the form that the client reads.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metalk8s_diagnostics::sentence;
use metalk8s_kube::fleet::FleetError;
use metalk8s_orchestrator::{
    dispatch::ToBootstrapError,
    master::{CallMasterError, OrchestrationError},
};
use metalk8s_saltcompat::api::LowstateError;
use serde_json::{Value, json};

use crate::api::Api;

/// What is said where nobody is logged in.
const NO_PERMISSION: &str = "No permission -- see authorization schemes";
/// What is said where a login is not accepted.
const NOT_AUTHENTICATED: &str = "Could not authenticate using provided credentials";

/// An answer before it has a form.
#[derive(Debug, Clone)]
pub(crate) struct Reply(pub(crate) Value);

/// Why a request is not answered as its client wishes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{NO_PERMISSION}")]
    NoSession,
    #[error("{NOT_AUTHENTICATED}")]
    Login { why: String },
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Wrong(String),
    #[error("the body is neither JSON, nor YAML, nor a form")]
    Kind,
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    #[error("the body did not arrive within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("too many requests")]
    TooMany(Duration),
    #[error("{why}")]
    Failed { why: String, passes: bool },
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoSession | Self::Login { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Kind => StatusCode::NOT_ACCEPTABLE,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed { passes: true, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed { passes: false, .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<FleetError> for ApiError {
    fn from(error: FleetError) -> Self {
        Self::Failed { why: sentence(&error), passes: error.is_retryable() }
    }
}

impl From<LowstateError> for ApiError {
    fn from(error: LowstateError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<CallMasterError> for ApiError {
    fn from(error: CallMasterError) -> Self {
        match error {
            CallMasterError::Bus(error) => error.into(),
            CallMasterError::Orchestration(error) => error.into(),
            CallMasterError::ToBootstrap(ToBootstrapError::Bus(error)) => error.into(),
            CallMasterError::ToBootstrap(ToBootstrapError::Nobody) => {
                Self::Failed { why: error.to_string(), passes: false }
            }
            CallMasterError::Away { .. } => Self::Failed { why: error.to_string(), passes: true },
        }
    }
}

impl From<OrchestrationError> for ApiError {
    fn from(error: OrchestrationError) -> Self {
        match error {
            OrchestrationError::Bus(error) => error.into(),
            OrchestrationError::Settings { name, source } => {
                Self::Wrong(format!("`{name}`: {}", source.brief()))
            }
            OrchestrationError::Unknown(_) | OrchestrationError::Environment(_) => {
                Self::Wrong(error.to_string())
            }
            OrchestrationError::Deleted(_) | OrchestrationError::Lost(_) => {
                Self::Failed { why: error.to_string(), passes: false }
            }
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut told = json!({"status": status.as_u16(), "return": self.to_string()});
        if let Self::Login { why } = &self {
            told["reason"] = why.as_str().into();
        }
        let mut response = (status, Reply(told)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Session"));
        }
        if let Self::TooMany(wait) = self {
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Counts the request, and gives the answer the form that the client reads.
pub(crate) async fn render(State(api): State<std::sync::Arc<Api>>, request: Request, next: Next) -> Response {
    use std::sync::atomic::Ordering::Relaxed;
    let _running = api.stats.begin();
    let wants_yaml = wants_yaml(request.headers());
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() {
        api.stats.refused.fetch_add(1, Relaxed);
    } else if status.is_server_error() {
        api.stats.failed.fetch_add(1, Relaxed);
    }
    let reply = response.extensions_mut().remove::<Reply>().or_else(|| {
        // Paths and methods that there are not.
        let reason = status.canonical_reason().unwrap_or_default();
        let is_error = status.is_client_error() || status.is_server_error();
        is_error.then(|| Reply(json!({"status": status.as_u16(), "return": reason})))
    });
    if let Some(Reply(value)) = reply {
        let yaml = wants_yaml.then(|| serde_saphyr::to_string(&value).ok()).flatten();
        let (kind, text) = match yaml {
            Some(text) => ("application/x-yaml", text),
            None => ("application/json", value.to_string()),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = text.into();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// JSON is for everybody who does not name YAML first.
/// The names of YAML in use: of CherryPy's API, of RFC 9512, and an older one.
pub(crate) fn is_yaml(kind: &str) -> bool {
    matches!(kind, "application/x-yaml" | "application/yaml" | "text/yaml")
}

fn wants_yaml(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let kinds = accepted.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let mut known = kinds.filter_map(|kind| match kind {
        kind if is_yaml(kind) => Some(true),
        "application/json" | "text/html" | "*/*" => Some(false),
        _ => None,
    });
    known.next().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_given() {
        for (accept, yaml) in [
            ("", false),
            ("application/x-yaml", true),
            ("image/png, application/x-yaml;q=0.9, application/json", true),
            ("application/json, application/x-yaml", false),
            ("text/html,*/*;q=0.8", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(accept).unwrap())]);
            assert_eq!(wants_yaml(&headers), yaml, "{accept}");
        }
    }
}
