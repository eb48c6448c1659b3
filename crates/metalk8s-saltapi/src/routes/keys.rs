//! `/keys`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
};
use metalk8s_saltcompat::api::{ALL_KEYS, FINGER};
use serde_json::{Value, json};

use super::lowstate::one_by;
use crate::{
    access::authenticate,
    answer::{ApiError, Reply},
    api::Api,
};

/// `GET /keys`.
pub(super) async fn all(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Reply, ApiError> {
    asked(&api, &headers, &json!({"client": "wheel", "fun": ALL_KEYS})).await
}

/// `GET /keys/{id}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Reply, ApiError> {
    asked(&api, &headers, &json!({"client": "wheel", "fun": FINGER, "match": id})).await
}

async fn asked(api: &Arc<Api>, headers: &HeaderMap, chunk: &Value) -> Result<Reply, ApiError> {
    let session = authenticate(api, headers).await?;
    let told = one_by(api, &session, chunk).await?;
    Ok(Reply(json!({"return": told["data"]["return"]})))
}
