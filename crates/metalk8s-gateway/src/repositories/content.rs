use http::StatusCode;

use super::open::{OpenError, Opened};
use crate::http::{Body, Range, Request, Response, is_unchanged, parse_range, wants_range};

/// What a client may check whether its copy is still good.
pub(super) struct Validators {
    /// As in the header, with its quotes.
    pub(super) etag: String,
    /// Whether the file's time is told.
    pub(super) with_date: bool,
}

/// Answers with a file, or with the part of it that is asked for.
pub(super) fn file(
    request: &Request,
    opened: Opened,
    content_type: &str,
    validators: Option<Validators>,
) -> Response {
    let size = opened.size;
    let (etag, with_date) = match &validators {
        Some(validators) => (validators.etag.as_str(), validators.with_date),
        None => ("", false),
    };
    let modified = opened.modified.filter(|_| with_date);
    let label = |response: Response| {
        let response = match modified {
            Some(modified) => response.header("Last-Modified", httpdate::HttpDate::from(modified)),
            None => response,
        };
        if etag.is_empty() { response } else { response.header("ETag", etag) }
    };
    if validators.is_some() && is_unchanged(request, etag, modified) {
        return label(Response::not_modified());
    }
    let range = match &request.range {
        Some(range) if wants_range(request, etag, modified) => parse_range(range, size),
        _ => Range::Whole,
    };
    let send = |status, start, len| {
        let body = Body::File { file: opened.file, path: opened.path, start, len };
        label(Response::new(status, content_type, body)).header("Accept-Ranges", "bytes")
    };
    match range {
        Range::Whole => send(StatusCode::OK, 0, size),
        Range::Part { start, len } => send(StatusCode::PARTIAL_CONTENT, start, len)
            .header("Content-Range", format_args!("bytes {start}-{}/{size}", start + len - 1)),
        Range::Unsatisfiable => Response::text(StatusCode::RANGE_NOT_SATISFIABLE, "the range lies outside\n")
            .header("Content-Range", format_args!("bytes */{size}")),
    }
}

/// Tells a failure to open in the log, where it helps, and nothing of it to the client.
pub(super) fn log_failure(err: &OpenError) {
    tracing::error!(error = err as &dyn std::error::Error, "could not open a file of an archive");
}
