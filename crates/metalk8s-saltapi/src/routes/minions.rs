//! `/minions`: facts, and functions that are begun.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use metalk8s_orchestrator::master::{minions, name};
use metalk8s_saltcompat::{
    api::{Asked, Chunk, GRAINS},
    matching,
};
use serde_json::{Map, Value, json};

use super::lowstate::asked_by;
use crate::{
    access::authenticate,
    answer::{ApiError, Reply},
    api::Api,
    body,
};

/// `GET /minions`.
pub(super) async fn all(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Reply, ApiError> {
    facts(&api, &headers, "*").await
}

/// `GET /minions/{id}`: one, or those that a pattern means.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Reply, ApiError> {
    facts(&api, &headers, &id).await
}

/// `POST /minions`: a lowstate that is begun, whatever its clients are.
pub(super) async fn begin(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let session = authenticate(&api, &parts.headers).await?;
    let mut lowstate = body::read(&parts, body, &api.limits).await?;
    let chunks = match &mut lowstate {
        Value::Array(chunks) => chunks.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for chunk in chunks.iter_mut().filter_map(Value::as_object_mut) {
        chunk.insert("client".to_owned(), "local_async".into());
    }
    let begun = asked_by(&api, &session, &lowstate).await?;
    let jobs = begun.iter().filter_map(|job| job["jid"].as_str());
    let links: Vec<Value> = jobs.map(|jid| json!({"href": format!("/jobs/{jid}")})).collect();
    let told = json!({"return": begun, "_links": {"jobs": links}});
    Ok((StatusCode::ACCEPTED, Reply(told)).into_response())
}

/// Facts as agents have told them; none is asked.
async fn facts(api: &Api, headers: &HeaderMap, pattern: &str) -> Result<Reply, ApiError> {
    let session = authenticate(api, headers).await?;
    let mut chunks = Chunk::parse_all(&json!({"client": "local", "fun": GRAINS, "tgt": pattern}))?;
    let Some(Chunk { asked: asked @ Asked::Minions(_), .. }) = chunks.pop() else {
        return Err(ApiError::Wrong(format!("`{pattern}` means no minions")));
    };
    if !session.rights.allow(&asked) {
        return Err(ApiError::Forbidden(format!("`{}` may not read facts", session.who.username)));
    }
    let Asked::Minions(call) = asked else { return Ok(Reply(json!({"return": [{}]}))) };
    let agents = api.bus.agents().await?;
    let chosen = matching(&call.target, minions(&agents));
    let told: Map<String, Value> = agents
        .iter()
        .filter(|agent| chosen.contains(name(agent)))
        .map(|agent| {
            // Whoever has never told anything is false, as who does not answer.
            let facts = agent.status.as_ref().map_or(Value::Bool(false), |status| status.grains.clone());
            (name(agent).to_owned(), facts)
        })
        .collect();
    Ok(Reply(json!({"return": [told]})))
}
