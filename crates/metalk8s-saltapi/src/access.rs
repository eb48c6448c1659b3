//! Who asks: by a session, or by a token of the cluster.

use axum::http::{HeaderMap, Uri, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use metalk8s_kube::fleet::Identity;
use metalk8s_saltcompat::api::{Credentials, EAUTH, Rights};
use serde_json::Value;

use crate::{
    answer::ApiError,
    api::Api,
    sessions::{Key, Session, new_token},
};

/// The longest token that the cluster is asked about.
const LONGEST: usize = 16 * 1024;
/// The cookie with the secret of a session.
pub(crate) const COOKIE: &str = "session_id";
/// The header with the secret of a session.
pub(crate) const HEADER: &str = "x-auth-token";

/// Who asks, and that he has not asked too often.
pub(crate) async fn authenticate(api: &Api, headers: &HeaderMap) -> Result<Session, ApiError> {
    let session = match (session_token(headers), bearer(headers)) {
        (Some(token), _) => of_session(api, token).await?,
        (None, Some(token)) => of_bearer(api, token).await?,
        (None, None) => return Err(ApiError::NoSession),
    };
    api.sessions.take(session.key).map_err(ApiError::TooMany)?;
    Ok(session)
}

/// The same for streams, whose clients cannot always set a header.
pub(crate) async fn authenticate_stream(
    api: &Api,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Session, ApiError> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let token = pairs.find(|(name, _)| name == "token" || name == "salt_token").map(|(_, token)| token);
    let Some(token) = token else { return authenticate(api, headers).await };
    let session = of_session(api, &token).await?;
    api.sessions.take(session.key).map_err(ApiError::TooMany)?;
    Ok(session)
}

/// The same for a chunk that says by itself who asks.
pub(crate) async fn authenticate_chunk(
    api: &Api,
    headers: &HeaderMap,
    credentials: &Credentials,
) -> Result<Session, ApiError> {
    let session = match credentials {
        Credentials { eauth: None, token: Some(token), .. } => of_session(api, token.expose()).await?,
        Credentials { eauth: Some(_), .. } => {
            let (who, token) = check(api, credentials).await?;
            enter(api, Key::of_bearer(token), who, token).await?
        }
        Credentials { eauth: None, token: None, .. } => {
            of_bearer(api, bearer(headers).ok_or(ApiError::NoSession)?).await?
        }
    };
    api.sessions.take(session.key).map_err(ApiError::TooMany)?;
    Ok(session)
}

/// A new session, with its secret.
pub(crate) async fn log_in(api: &Api, credentials: &Credentials) -> Result<(String, Session), ApiError> {
    let (who, token) = check(api, credentials).await?;
    let secret = new_token();
    let session = enter(api, Key::of_session(&secret), who, token).await?;
    tracing::info!(user = session.who.username, "somebody logged in");
    Ok((secret, session))
}

/// The secret of a session that a request carries.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    let by_header =
        headers.get(HEADER).and_then(|token| token.to_str().ok()).filter(|token| !token.is_empty());
    by_header.or_else(|| {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookie| cookie.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// His rights may have changed since he logged in.
async fn of_session(api: &Api, token: &str) -> Result<Session, ApiError> {
    let session = api.sessions.find(Key::of_session(token)).ok_or(ApiError::NoSession)?;
    if !session.is_stale {
        return Ok(session);
    }
    let rights = rights(api, &session.who).await?;
    Ok(api.sessions.open(session.key, session.who, rights, session.expire))
}

async fn of_bearer(api: &Api, token: &str) -> Result<Session, ApiError> {
    let key = Key::of_bearer(token);
    if let Some(session) = api.sessions.find(key).filter(|session| !session.is_stale) {
        return Ok(session);
    }
    match review(api, token).await? {
        Some(who) => enter(api, key, who, token).await,
        None => {
            api.sessions.close(key);
            Err(ApiError::NoSession)
        }
    }
}

/// Who a login is of, and the token that proved it.
async fn check<'c>(api: &Api, credentials: &'c Credentials) -> Result<(Identity, &'c str), ApiError> {
    let Credentials { eauth, username, token } = credentials;
    let refused = |why: &str| ApiError::Login { why: why.to_owned() };
    if eauth.as_deref() != Some(EAUTH) {
        return Err(refused(&format!("`eauth` must be `{EAUTH}`")));
    }
    let username = username
        .as_deref()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| refused("`username` is missing"))?;
    let token = token
        .as_ref()
        .map(|token| token.expose().as_str())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| refused("`token` is missing"))?;
    let who = review(api, token).await?;
    let who = who.ok_or_else(|| refused("the cluster does not accept this token"))?;
    if !is_name_of(username, &who.username) {
        return Err(refused("the token is not one of this user"));
    }
    Ok((who, token))
}

async fn review(api: &Api, token: &str) -> Result<Option<Identity>, ApiError> {
    if token.is_empty() || token.len() > LONGEST {
        return Ok(None);
    }
    api.take_review()?;
    Ok(api.reviews.review_token(token).await?)
}

async fn enter(api: &Api, key: Key, who: Identity, token: &str) -> Result<Session, ApiError> {
    let rights = rights(api, &who).await?;
    let now = Timestamp::now();
    let longest =
        now + SignedDuration::try_from(api.limits.session_time).unwrap_or(SignedDuration::from_hours(12));
    let expire = expiry(token).map_or(longest, |end| end.min(longest));
    if expire <= now {
        return Err(ApiError::Login { why: "the token is over".to_owned() });
    }
    Ok(api.sessions.open(key, who, rights, expire))
}

async fn rights(api: &Api, who: &Identity) -> Result<Rights, ApiError> {
    let rights = match Rights::known(&who.username, &who.groups) {
        Some(rights) => rights,
        None => {
            let may_change = api.reviews.may_with_agents(who, "patch").await?;
            let may_read = !may_change
                && api.reviews.may_with_agents(who, "get").await?
                && api.reviews.may_with_agents(who, "list").await?;
            Rights::of_agents(may_change, may_read)
        }
    };
    if rights == Rights::Nothing {
        return Err(ApiError::Forbidden(format!(
            "`{}` may neither change nor read agents of the group fleet.metalk8s.scality.com",
            who.username
        )));
    }
    Ok(rights)
}

/// The whole name, or its last parts: `system:serviceaccount:NAMESPACE:NAME` is also `NAME`.
fn is_name_of(given: &str, username: &str) -> bool {
    let before = username.strip_suffix(given);
    before.is_some_and(|before| before.is_empty() || before.ends_with(':'))
}

/// When a token ends by its own words (RFC 7519, 4.1.4), which whoever accepted it has checked.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_i64()?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_given_by_its_last_parts() {
        let operator = "system:serviceaccount:kube-system:storage-operator";
        for given in [operator, "storage-operator", "kube-system:storage-operator"] {
            assert!(is_name_of(given, operator), "{given}");
        }
        for given in ["operator", "kube-system", "", "Storage-operator"] {
            let is_empty = given.is_empty();
            assert!(is_empty || !is_name_of(given, operator), "{given}");
        }
    }

    #[test]
    fn a_token_says_when_it_ends_or_does_not() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp": 1700000000}"#);
        assert_eq!(expiry(&format!("x.{claims}.y")), Timestamp::from_second(1_700_000_000).ok());
        for token in ["", "x", "x.y.z", "x.e30.z", "..", "é.é.é"] {
            assert_eq!(expiry(token), None, "{token}");
        }
    }

    #[test]
    fn the_secret_is_in_a_header_or_a_cookie() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
        };
        assert_eq!(session_token(&headers("x-auth-token", "abc")), Some("abc"));
        assert_eq!(session_token(&headers("cookie", "a=b; session_id=abc")), Some("abc"));
        assert_eq!(session_token(&headers("cookie", "a=b")), None);
        assert_eq!(bearer(&headers("authorization", "Bearer x.y")), Some("x.y"));
        assert_eq!(bearer(&headers("authorization", "Basic x")), None);
    }
}
