//! `/stats`.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};

use crate::{
    access::authenticate,
    answer::{ApiError, Reply},
    api::Api,
};

/// `GET /stats`.
pub(super) async fn told(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Reply, ApiError> {
    authenticate(&api, &headers).await?;
    Ok(Reply(api.stats.told(api.sessions.count(), api.events.count())))
}
