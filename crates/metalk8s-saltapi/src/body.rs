//! Bodies: JSON, YAML or a form, of a bounded length and in bounded time.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, header, request::Parts},
};
use metalk8s_saltcompat::api::from_form;
use serde_json::Value;

use crate::{
    answer::{ApiError, is_yaml},
    api::Limits,
};

/// What a body says. One that is empty says nothing, and is not accepted where something is needed.
pub(crate) async fn read(parts: &Parts, body: Body, limits: &Limits) -> Result<Value, ApiError> {
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limits.body_bytes as u64) {
        return Err(ApiError::TooLong(limits.body_bytes));
    }
    let bytes = tokio::time::timeout(limits.body_time, to_bytes(body, limits.body_bytes)).await;
    let bytes = bytes.map_err(|_| ApiError::TooSlow(limits.body_time))?;
    let bytes = bytes.map_err(|error| match is_too_long(&error) {
        true => ApiError::TooLong(limits.body_bytes),
        false => ApiError::Wrong("the body is not whole".to_owned()),
    })?;
    parse(&parts.headers, &bytes)
}

fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" | "text/json" | "text/plain" | "" => serde_json::from_slice(bytes)
            // What it says may be a secret: only the place is told.
            .map_err(|error| ApiError::Wrong(format!("line {} of the body is not JSON", error.line()))),
        // The reader bounds what aliases may grow to.
        kind if is_yaml(kind) => serde_saphyr::from_slice(bytes).map_err(|error| {
            let place =
                error.location().map_or_else(String::new, |place| format!("line {} of ", place.line()));
            ApiError::Wrong(format!("{place}the body is not YAML that can be read"))
        }),
        "application/x-www-form-urlencoded" => Ok(from_form(form_urlencoded::parse(bytes).into_owned())),
        _ => Err(ApiError::Kind),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}
