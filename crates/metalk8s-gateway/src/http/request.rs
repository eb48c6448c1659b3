use http::StatusCode;

use super::Limits;

/// Headers in one request. httparse needs a fixed number; browsers send about twenty.
const MAX_HEADERS: usize = 64;

/// A request's method, as far as we tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The content.
    Get,
    /// Only what GET would say about it.
    Head,
    /// Anything else; none of it is served.
    Other,
}

/// The head of a request: what we look at, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent, still encoded; begins with `/`.
    pub raw_path: String,
    /// What follows the `?`, still encoded.
    pub query: String,
    /// Header `Range`.
    pub range: Option<String>,
    /// Header `If-Range`.
    pub if_range: Option<String>,
    /// Headers `If-None-Match`, joined.
    pub if_none_match: Option<String>,
    /// Header `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// Whether the connection can take another request: the client wants it, and no body follows.
    pub keep_alive: bool,
    /// Whether a body follows, which we do not read.
    pub has_body: bool,
}

/// A head that is not answered by a handler. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not HTTP.
    #[error("the request is not valid HTTP/1.1")]
    Malformed,
    /// HTTP/1.1 without, or with more than one, `Host`.
    #[error("the request has no header `Host`, or several")]
    Host,
    /// An HTTP version that we do not speak.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// Path and query are too long.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// The head is too long or has too many headers.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// The head did not arrive in time.
    #[error("the request did not arrive in time")]
    TimedOut,
}

impl Rejection {
    /// The status that tells it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Host => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Reads the head of a request from the start of `buffer`; also tells how many bytes it takes.
///
/// `Ok(None)` means that more bytes are needed, which is the case only while there are fewer than
/// [`Limits::head_bytes`].
pub fn parse_head(buffer: &[u8], limits: &Limits) -> Result<Option<(Request, usize)>, Rejection> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let taken = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(taken)) => taken,
        Ok(httparse::Status::Partial) if buffer.len() < limits.head_bytes => return Ok(None),
        Ok(httparse::Status::Partial) if parsed.path.is_none() => return Err(Rejection::TargetTooLong),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Rejection::HeadTooLarge);
        }
        Err(httparse::Error::Version) => return Err(Rejection::Version),
        Err(_) => return Err(Rejection::Malformed),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Rejection::Malformed);
    };
    if target.len() > limits.target_bytes {
        return Err(Rejection::TargetTooLong);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let (raw_path, query) = split_target(target, method)?;
    let mut request = Request {
        method,
        raw_path,
        query,
        range: None,
        if_range: None,
        if_none_match: None,
        if_modified_since: None,
        keep_alive: minor == 1,
        has_body: false,
    };
    read_headers(&mut request, parsed.headers, minor)?;
    Ok(Some((request, taken)))
}

/// Splits a target into path and query. A target may be a whole URL (RFC 9112, 3.2.2).
fn split_target(target: &str, method: Method) -> Result<(String, String), Rejection> {
    let local = if target.starts_with('/') {
        target
    } else if let Some(rest) = strip_scheme(target) {
        rest.find(['/', '?']).map_or("/", |start| &rest[start..])
    } else if method == Method::Other {
        // `OPTIONS *` and `CONNECT host:port` are well formed; the method is refused later.
        "/"
    } else {
        return Err(Rejection::Malformed);
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    let path = if path.is_empty() { "/" } else { path };
    Ok((path.to_owned(), query.to_owned()))
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn read_headers(request: &mut Request, headers: &[httparse::Header<'_>], minor: u8) -> Result<(), Rejection> {
    let mut hosts = 0;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(header.value).ok().map(|value| value.trim().to_owned());
        if is("host") {
            hosts += 1;
        } else if is("connection") {
            for token in text().unwrap_or_default().split(',') {
                match token.trim() {
                    token if token.eq_ignore_ascii_case("close") => request.keep_alive = false,
                    token if token.eq_ignore_ascii_case("keep-alive") && minor == 0 => {
                        request.keep_alive = true
                    }
                    _ => {}
                }
            }
        } else if is("transfer-encoding") {
            request.has_body = true;
        } else if is("content-length") {
            let length: u64 = text().and_then(|value| value.parse().ok()).ok_or(Rejection::Malformed)?;
            request.has_body |= length > 0;
        } else if is("range") {
            request.range = text();
        } else if is("if-range") {
            request.if_range = text();
        } else if is("if-modified-since") {
            request.if_modified_since = text();
        } else if is("if-none-match") {
            request.if_none_match = match (request.if_none_match.take(), text()) {
                (Some(before), Some(more)) => Some(format!("{before}, {more}")),
                (before, more) => before.or(more),
            };
        }
    }
    if hosts > 1 || (hosts == 0 && minor == 1) {
        return Err(Rejection::Host);
    }
    request.keep_alive &= !request.has_body;
    Ok(())
}

#[cfg(test)]
mod tests;
