//! `/login`, `/logout` and `/token`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use metalk8s_saltcompat::api::{EAUTH, credentials};
use serde_json::{Value, json};

use crate::{
    access::{COOKIE, HEADER, authenticate, log_in as enter},
    answer::{ApiError, Reply},
    api::Api,
    body,
    sessions::Session,
};

/// `GET /login`: where one is sent who is not logged in.
pub(super) async fn form() -> Response {
    let told = json!({"status": StatusCode::UNAUTHORIZED.as_u16(), "return": "Please log in"});
    let authenticate = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Session"))];
    (StatusCode::UNAUTHORIZED, authenticate, Reply(told)).into_response()
}

/// `POST /login`.
pub(super) async fn log_in(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (secret, session) = new_session(&api, request).await?;
    let told = json!({"return": [told(&secret, &session)]});
    let seconds = (session.expire.as_second() - Timestamp::now().as_second()).max(0);
    // A page of another site that sends a form does not send it.
    let cookie = format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict");
    let headers = HeaderMap::from_iter(
        [(header::SET_COOKIE, cookie), (HeaderName::from_static(HEADER), secret)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))),
    );
    Ok((headers, Reply(told)).into_response())
}

/// `POST /token`: the same for clients that put the secret into each chunk of `/run`.
pub(super) async fn token(State(api): State<Arc<Api>>, request: Request) -> Result<Reply, ApiError> {
    let (secret, session) = new_session(&api, request).await?;
    Ok(Reply(json!([told(&secret, &session)])))
}

/// `POST /logout`.
pub(super) async fn log_out(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let session = authenticate(&api, &headers).await?;
    api.sessions.close(session.key);
    tracing::info!(user = session.who.username, "somebody logged out");
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict");
    Ok(([(header::SET_COOKIE, gone)], Reply(json!({"return": "Your token has been cleared"})))
        .into_response())
}

async fn new_session(api: &Api, request: Request) -> Result<(String, Session), ApiError> {
    let (parts, body) = request.into_parts();
    let entered = match credentials(&body::read(&parts, body, &api.limits).await?) {
        Ok(credentials) => enter(api, &credentials).await,
        Err(error) => Err(error.into()),
    };
    if let Err(ApiError::Login { why }) = &entered {
        tracing::warn!(why, "a login was refused");
    }
    let entered = entered?;
    api.stats.logins.fetch_add(1, Relaxed);
    Ok(entered)
}

fn told(secret: &str, session: &Session) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this age fit")]
    let seconds = |at: Timestamp| at.as_microsecond() as f64 / 1e6;
    json!({
        "token": secret,
        "start": seconds(session.start),
        "expire": seconds(session.expire),
        "user": session.who.username,
        "name": session.who.username,
        "eauth": EAUTH,
        "perms": session.rights.perms(),
    })
}
