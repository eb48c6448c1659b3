//! `/` and `/run`: lowstates.

use std::sync::Arc;

use axum::extract::{Request, State};
use metalk8s_saltcompat::api::{CLIENTS, Chunk};
use serde_json::{Value, json};

use crate::{
    access::{authenticate, authenticate_chunk},
    answer::{ApiError, Reply},
    api::Api,
    body,
    carry_out::carry_out,
    sessions::Session,
};

/// `GET /`: anybody may ask whether the API is there.
pub(super) async fn welcome() -> Reply {
    Reply(json!({"return": "Welcome", "clients": CLIENTS}))
}

/// `POST /`: a lowstate of somebody who is logged in.
pub(super) async fn root(State(api): State<Arc<Api>>, request: Request) -> Result<Reply, ApiError> {
    let (parts, body) = request.into_parts();
    let session = authenticate(&api, &parts.headers).await?;
    let lowstate = body::read(&parts, body, &api.limits).await?;
    Ok(Reply(json!({"return": asked_by(&api, &session, &lowstate).await?})))
}

/// `POST /run`: a lowstate each of whose chunks says who asks.
pub(super) async fn run(State(api): State<Arc<Api>>, request: Request) -> Result<Reply, ApiError> {
    let (parts, body) = request.into_parts();
    let lowstate = body::read(&parts, body, &api.limits).await?;
    let mut chunks = Vec::new();
    for chunk in Chunk::parse_all(&lowstate)? {
        chunks.push((authenticate_chunk(&api, &parts.headers, &chunk.credentials).await?, chunk));
    }
    Ok(Reply(json!({"return": carry_out(&api, chunks).await?})))
}

/// What one lowstate returns, all chunks of which are somebody's.
pub(super) async fn asked_by(
    api: &Arc<Api>,
    session: &Session,
    lowstate: &Value,
) -> Result<Vec<Value>, ApiError> {
    let chunks = Chunk::parse_all(lowstate)?;
    carry_out(api, chunks.into_iter().map(|chunk| (session.clone(), chunk)).collect()).await
}

/// What one chunk returns.
pub(super) async fn one_by(api: &Arc<Api>, session: &Session, chunk: &Value) -> Result<Value, ApiError> {
    Ok(asked_by(api, session, chunk).await?.pop().unwrap_or_default())
}
