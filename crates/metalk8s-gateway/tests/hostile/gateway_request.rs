//! A head ends where an empty line ends it, and does not depend on what follows; more bytes are asked for only
//! within the bounds; a decoded path never leaves its root; a range lies within its file. Shared with the fuzz
//! target `gateway_request`.

use metalk8s_gateway::{
    Limits,
    http::{Range, Request, decode_path, parse_head, parse_range},
};

const SIZES: [u64; 6] = [0, 1, 2, 4096, u64::MAX - 1, u64::MAX];

pub(crate) fn check(bytes: &[u8]) {
    let limits = Limits::default();
    match parse_head(bytes, &limits) {
        Ok(Some((request, taken))) => check_head(bytes, &request, taken, &limits),
        Ok(None) => assert!(bytes.len() < limits.head_bytes),
        Err(rejection) => assert!(rejection.status().as_u16() >= 400),
    }
    // Most changed heads are none; paths and ranges are tried by themselves too.
    if let Ok(text) = std::str::from_utf8(bytes) {
        text.split(['\n', ' ']).for_each(check_path);
        check_range(text);
    }
}

fn check_head(bytes: &[u8], request: &Request, taken: usize, limits: &Limits) {
    let head = &bytes[..taken];
    assert!(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n"));
    assert_eq!(parse_head(head, limits), Ok(Some((request.clone(), taken))));
    // Whoever takes less than the whole head would take its end for the next request.
    assert!(!matches!(parse_head(&head[..taken - 1], limits), Ok(Some(_))));
    let followed = [head, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"].concat();
    assert_eq!(parse_head(&followed, limits), Ok(Some((request.clone(), taken))));

    assert!(request.raw_path.starts_with('/') && !request.raw_path.contains('?'));
    assert!(request.raw_path.len() + request.query.len() <= limits.target_bytes + 1);
    assert!(!(request.keep_alive && request.has_body), "a body would be taken for the next request");
    let body = ["transfer-encoding:", "content-length:"];
    let says = |name: &str| {
        head.split(|byte| *byte == b'\n').skip(1).any(|line| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        })
    };
    assert!(!request.has_body || body.iter().any(|name| says(name)));
    assert!(request.has_body || !says(body[0]));
    check_path(&request.raw_path);
    if let Some(range) = &request.range {
        check_range(range);
    }
}

fn check_path(raw: &str) {
    let Ok(path) = decode_path(raw) else { return };
    assert!(path.len() <= raw.len() && !path.contains(|c: char| c < ' ' || c == '\u{7f}'));
    assert!(path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
    let encoded: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(decode_path(&encoded), Ok(path));
}

fn check_range(header: &str) {
    for size in SIZES {
        if let Range::Part { start, len } = parse_range(header, size) {
            assert!(len > 0 && start < size && len <= size - start, "`{header}` of {size}");
            let exact = format!("bytes={start}-{}", start + (len - 1));
            assert_eq!(parse_range(&exact, size), Range::Part { start, len }, "`{header}` of {size}");
        }
    }
}
