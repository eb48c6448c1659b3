//! `/events`: a stream of server-sent events (WHATWG HTML, 9.2).

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use jiff::Timestamp;
use tokio::{sync::broadcast::error::RecvError, time::sleep};

use crate::{access::authenticate_stream, answer::ApiError, api::Api, events::Listener, sessions::Session};

/// What a stream begins with: how long a client waits before it comes again.
const HEAD: &str = "retry: 400\n";
/// When one may try again where too many listen.
const CROWDED: Duration = Duration::from_secs(30);

/// `GET /events`: until the session ends, or the client goes.
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let session = authenticate_stream(&api, &headers, &uri).await?;
    let listener = api.events.listen(&api.bus).await.ok_or(ApiError::TooMany(CROWDED))?;
    let state = Stream { api, session, listener, has_begun: false };
    let body = Body::from_stream(stream::unfold(state, |mut state| async move {
        let text = state.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), state))
    }));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

struct Stream {
    api: Arc<Api>,
    session: Session,
    listener: Listener,
    has_begun: bool,
}

impl Stream {
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(HEAD.to_owned());
        }
        let left = self.session.expire.duration_since(Timestamp::now());
        tokio::select! {
            () = self.session.ended.cancelled() => None,
            () = self.api.stop.cancelled() => None,
            () = sleep(left.try_into().unwrap_or_default()) => None,
            () = sleep(self.api.limits.keep_alive) => Some(": still here\n\n".to_owned()),
            event = self.listener.events.recv() => match event {
                Ok(event) => Some(event.as_ref().to_owned()),
                Err(RecvError::Lagged(lost)) => Some(format!(": {lost} events were lost\n\n")),
                Err(RecvError::Closed) => None,
            },
        }
    }
}
