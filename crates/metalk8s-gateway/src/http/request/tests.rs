use proptest::prelude::*;

use super::*;

fn parse(head: &str) -> Result<Option<(Request, usize)>, Rejection> {
    parse_head(head.as_bytes(), &Limits::default())
}

fn complete(head: &str) -> Request {
    parse(head).unwrap().unwrap().0
}

#[test]
fn a_pull_is_understood() {
    let request = complete(
        "GET /v2/metalk8s-0.1.0/etcd/blobs/sha256:00?ns=registry HTTP/1.1\r\nHost: a\r\nrange: bytes=1-2\r\n\
         If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n\r\n",
    );
    assert_eq!(request.method, Method::Get);
    assert_eq!(request.raw_path, "/v2/metalk8s-0.1.0/etcd/blobs/sha256:00");
    assert_eq!(request.query, "ns=registry");
    assert_eq!(request.range.as_deref(), Some("bytes=1-2"));
    assert_eq!(request.if_none_match.as_deref(), Some("\"a\", \"b\""));
    assert!(request.keep_alive);
}

#[test]
fn a_head_ends_where_the_next_request_begins() {
    let one = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let (_, taken) = parse(&format!("{one}{one}")).unwrap().unwrap();
    assert_eq!(taken, one.len());
}

#[test]
fn an_incomplete_head_waits_for_more() {
    for head in ["", "G", "GET /a HTTP/1.1\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n"] {
        assert_eq!(parse(head), Ok(None), "{head:?}");
    }
}

#[test]
fn a_whole_url_is_a_target() {
    assert_eq!(complete("GET http://a:8080/b?c HTTP/1.1\r\nHost: a\r\n\r\n").raw_path, "/b");
    assert_eq!(complete("GET HTTP://a HTTP/1.1\r\nHost: a\r\n\r\n").raw_path, "/");
}

#[test]
fn connections_are_kept_as_the_version_and_the_client_say() {
    assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keep_alive);
}

#[test]
fn a_request_with_a_body_is_the_last_of_its_connection() {
    for header in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let request = complete(&format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
        assert!(request.has_body && !request.keep_alive, "{header}");
    }
    assert!(complete("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").keep_alive);
}

#[test]
fn hostile_heads_are_rejected_by_name() {
    let long = "a".repeat(5000);
    let endless = "a".repeat(20_000);
    let many: String = (0..100).map(|n| format!("x{n}: y\r\n")).collect();
    for (head, rejection) in [
        ("\u{16}\u{3}\u{1}\0".to_owned(), Rejection::Malformed),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), Rejection::Malformed),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_owned(), Rejection::Malformed),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), Rejection::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), Rejection::Host),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), Rejection::Version),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), Rejection::TargetTooLong),
        (format!("GET /{endless}"), Rejection::TargetTooLong),
        (format!("GET / HTTP/1.1\r\nHost: {endless}"), Rejection::HeadTooLarge),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), Rejection::HeadTooLarge),
    ] {
        assert_eq!(parse(&head), Err(rejection), "{}", &head[..head.len().min(60)]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_rejected_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(Some((request, taken))) = parse_head(&bytes, &Limits::default()) {
            prop_assert!(taken <= bytes.len());
            prop_assert!(request.raw_path.starts_with('/'));
        }
    }
}
