use std::time::UNIX_EPOCH;

use http::StatusCode;

use super::archives::Archives;
use super::content::{self, Validators};
use super::open::{OpenError, Opened};
use crate::http::{Request, Response};

/// The files by which apt and dnf learn what a repository holds; all others are named by digest in them.
const ENTRY_FILES: [&str; 5] = ["InRelease", "Release", "Release.gpg", "repomd.xml", "repomd.xml.asc"];

/// Answers for `/<environment>/<path>`; `path` is normalised.
pub(super) async fn answer(
    archives: &Archives,
    request: &Request,
    environment: &str,
    path: &str,
) -> Response {
    let relative = if path.starts_with("bin/") { path.to_owned() } else { format!("packages/{path}") };
    match archives.open(environment, relative).await {
        Ok(opened) => {
            let validators = validators(path, &opened);
            content::file(request, opened, content_type(path), validators)
        }
        Err(OpenError::Absent) => Response::not_found(),
        Err(err) => {
            content::log_failure(&err);
            Response::text(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n")
        }
    }
}

/// Archives are built with fixed times, so that building twice gives the same bytes. When one is built anew and
/// takes the place of another of its version, an entry file may keep its time and its size but not its content:
/// "not modified" would then be a lie, so entry files are always sent. They are small.
fn validators(path: &str, opened: &Opened) -> Option<Validators> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if ENTRY_FILES.contains(&name) {
        return None;
    }
    let seconds = opened.modified?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let etag = format!("\"{seconds:x}-{:x}-{:x}\"", opened.size, opened.inode);
    Some(Validators { etag, with_date: true })
}

fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
        "deb" => "application/vnd.debian.binary-package",
        "rpm" => "application/x-rpm",
        "gz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "xml" => "text/xml",
        "asc" | "gpg" => "application/pgp-keys",
        "txt" | "InRelease" | "Release" | "Packages" | "repo" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
