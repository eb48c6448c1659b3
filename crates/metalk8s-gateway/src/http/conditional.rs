use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Request;

/// Whether the client already has what it asks for (RFC 9110, 13.2.2: the tag decides if the client names one).
///
/// `etag` is written as in the header, with its quotes.
pub(crate) fn is_unchanged(request: &Request, etag: &str, modified: Option<SystemTime>) -> bool {
    if let Some(tags) = &request.if_none_match {
        return tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag);
    }
    let since = request.if_modified_since.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
    match (since, modified) {
        (Some(since), Some(modified)) => whole_seconds(modified) <= since,
        _ => false,
    }
}

/// Whether `Range` counts: `If-Range`, if it is there, names what we have.
pub(crate) fn wants_range(request: &Request, etag: &str, modified: Option<SystemTime>) -> bool {
    match request.if_range.as_deref() {
        None => true,
        Some(tag) if tag.starts_with('"') => tag == etag,
        Some(date) => match (httpdate::parse_http_date(date), modified) {
            (Ok(date), Some(modified)) => whole_seconds(modified) == date,
            _ => false,
        },
    }
}

/// A date in a header has no fraction.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, parse_head};

    const DATE: &str = "Thu, 01 Jan 1970 00:01:40 GMT";

    fn request(headers: &str) -> Request {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        parse_head(head.as_bytes(), &Limits::default()).unwrap().unwrap().0
    }

    fn modified() -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_millis(100_500))
    }

    #[test]
    fn a_known_tag_means_unchanged() {
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_unchanged(&request(&format!("If-None-Match: {tags}\r\n")), "\"a\"", None), "{tags}");
        }
        assert!(!is_unchanged(&request("If-None-Match: \"b\"\r\n"), "\"a\"", None));
    }

    #[test]
    fn the_tag_outweighs_the_date() {
        let both = request(&format!("If-None-Match: \"b\"\r\nIf-Modified-Since: {DATE}\r\n"));
        assert!(!is_unchanged(&both, "\"a\"", modified()));
        let date = request(&format!("If-Modified-Since: {DATE}\r\n"));
        assert!(is_unchanged(&date, "\"a\"", modified()));
    }

    #[test]
    fn a_range_counts_only_for_the_same_content() {
        assert!(wants_range(&request(""), "\"a\"", None));
        assert!(wants_range(&request("If-Range: \"a\"\r\n"), "\"a\"", None));
        assert!(!wants_range(&request("If-Range: \"b\"\r\n"), "\"a\"", None));
        assert!(!wants_range(&request("If-Range: W/\"a\"\r\n"), "\"a\"", modified()));
        assert!(wants_range(&request(&format!("If-Range: {DATE}\r\n")), "\"a\"", modified()));
        assert!(!wants_range(&request(&format!("If-Range: {DATE}\r\n")), "\"a\"", None));
    }
}
