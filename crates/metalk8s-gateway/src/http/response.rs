use std::fmt::{Display, Write as _};
use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;

/// What follows the head of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Bytes),
    /// A part of a file. `path` is for our log only.
    File {
        file: File,
        path: PathBuf,
        start: u64,
        len: u64,
    },
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }
}

/// An answer. The server adds `Date`, `Content-Length` and `Connection`.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) body: Body,
    /// Further headers, as they go over the wire.
    headers: String,
}

impl Response {
    pub(crate) fn new(status: StatusCode, content_type: &str, body: Body) -> Self {
        Self { status, body, headers: String::with_capacity(256) }.header("Content-Type", content_type)
    }

    pub(crate) fn bytes(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(status, content_type, Body::Bytes(body.into()))
    }

    pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body)
    }

    /// The answer to a path where nothing is.
    pub(crate) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "not found\n")
    }

    /// "What you have is what I have." It has no body.
    pub(crate) fn not_modified() -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            headers: String::with_capacity(256),
            body: Body::Bytes(Bytes::new()),
        }
    }

    /// Adds a header. Control characters, which could end it early, are left out of its value.
    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        let start = self.headers.len();
        write!(self.headers, "{name}: {value}").expect("a string takes all that is written to it");
        if self.headers[start..].contains(|c: char| c.is_control()) {
            let clean: String = self.headers[start..].chars().filter(|c| !c.is_control()).collect();
            self.headers.replace_range(start.., &clean);
        }
        self.headers.push_str("\r\n");
        self
    }

    /// The bytes of the head.
    pub(crate) fn head(&self, keep_alive: bool) -> Vec<u8> {
        let mut head = String::with_capacity(self.headers.len() + 160);
        let reason = self.status.canonical_reason().unwrap_or("Unknown");
        let date = httpdate::HttpDate::from(SystemTime::now());
        write!(head, "HTTP/1.1 {} {reason}\r\nDate: {date}\r\n", self.status.as_u16())
            .expect("a string takes all that is written to it");
        head.push_str(&self.headers);
        if self.status != StatusCode::NOT_MODIFIED {
            write!(head, "Content-Length: {}\r\n", self.body.len())
                .expect("a string takes all that is written to it");
        }
        head.push_str(if keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" });
        head.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_header() {
        let response = Response::not_found().header("X", "a\r\nSet-Cookie: b\r\n\r\nbody");
        let head = String::from_utf8(response.head(true)).unwrap();
        assert!(head.contains("\r\nX: aSet-Cookie: bbody\r\n"), "{head}");
        assert_eq!(head.matches("\r\n\r\n").count(), 1);
    }

    #[test]
    fn the_head_tells_the_length_and_whether_the_connection_ends() {
        let response = Response::text(StatusCode::OK, "ok\n");
        assert!(String::from_utf8(response.head(true)).unwrap().ends_with("Content-Length: 3\r\n\r\n"));
        assert!(String::from_utf8(response.head(false)).unwrap().ends_with("Connection: close\r\n\r\n"));
    }
}
