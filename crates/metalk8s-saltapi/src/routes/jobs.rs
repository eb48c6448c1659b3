//! `/jobs`: what was given to minions, and what came back.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
};
use metalk8s_saltcompat::api::{LIST_JOB, LIST_JOBS};
use serde_json::{Map, Value, json};

use super::lowstate::one_by;
use crate::{
    access::authenticate,
    answer::{ApiError, Reply},
    api::Api,
};

/// `GET /jobs`.
pub(super) async fn all(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Reply, ApiError> {
    let session = authenticate(&api, &headers).await?;
    let jobs = one_by(&api, &session, &json!({"client": "runner", "fun": LIST_JOBS})).await?;
    Ok(Reply(json!({"return": [jobs]})))
}

/// `GET /jobs/{jid}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(jid): Path<String>,
    headers: HeaderMap,
) -> Result<Reply, ApiError> {
    let session = authenticate(&api, &headers).await?;
    let job = one_by(&api, &session, &json!({"client": "runner", "fun": LIST_JOB, "arg": [jid]})).await?;
    let results = job["Result"].as_object().into_iter().flatten();
    let returned: Map<String, Value> =
        results.map(|(minion, result)| (minion.clone(), result["return"].clone())).collect();
    Ok(Reply(json!({"info": [job], "return": [returned]})))
}
