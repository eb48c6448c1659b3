use http::StatusCode;
use serde_json::json;

use super::archives::{Archives, Images};
use super::content::{self, Validators};
use super::digest::Digest;
use super::layout::{Image, Layout, blob_path, is_image_name, is_tag};
use super::open::OpenError;
use crate::http::{Method, Request, Response, is_unchanged};

/// A request of the pull API, with names as they were sent.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Base,
    Manifest { name: &'a str, reference: &'a str },
    Blob { name: &'a str, digest: &'a str },
    Tags { name: &'a str },
    Unknown,
}

/// An error of the API (OCI distribution-spec 1.1, "Error codes").
#[derive(Debug, Clone, Copy)]
enum Code {
    BlobUnknown,
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    Unsupported,
    /// Not in the specification, which has no code for a fault of the registry; Docker's registry uses it too.
    Unknown,
}

impl Code {
    fn response(self, message: &str, detail: serde_json::Value) -> Response {
        let (code, status) = match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", StatusCode::NOT_FOUND),
            Self::DigestInvalid => ("DIGEST_INVALID", StatusCode::BAD_REQUEST),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND),
            Self::NameInvalid => ("NAME_INVALID", StatusCode::BAD_REQUEST),
            Self::NameUnknown => ("NAME_UNKNOWN", StatusCode::NOT_FOUND),
            Self::Unsupported => ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED),
            Self::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = json!({ "errors": [{ "code": code, "message": message, "detail": detail }] });
        labelled(Response::bytes(status, "application/json", body.to_string()))
    }
}

/// Answers for `path`, which is normalised and begins with `v2`.
pub(super) async fn answer(archives: &Archives, request: &Request, path: &str) -> Response {
    if request.method == Method::Other {
        return Code::Unsupported
            .response("this registry is read-only", json!(null))
            .header("Allow", "GET, HEAD");
    }
    let (name, route) = match route(path) {
        Route::Base => return labelled(Response::bytes(StatusCode::OK, "application/json", "{}")),
        Route::Unknown => return Code::NameUnknown.response("there is nothing here", json!(null)),
        route @ (Route::Manifest { name, .. } | Route::Blob { name, .. } | Route::Tags { name }) => {
            (name, route)
        }
    };
    if !is_image_name(name) {
        return Code::NameInvalid.response("not a name of an image", json!({ "name": name }));
    }
    let unknown = || Code::NameUnknown.response("no archive has this image", json!({ "name": name }));
    let Some((environment, image_name)) = name.split_once('/') else { return unknown() };
    let layout = match archives.images(environment).await {
        Images::Layout(layout) => layout,
        Images::None => return unknown(),
        Images::Unreadable => {
            return Code::Unknown.response("the archive's images cannot be read", json!({ "name": name }));
        }
    };
    let Some(image) = layout.images.get(image_name) else { return unknown() };
    match route {
        Route::Manifest { reference, .. } => manifest(request, image, reference),
        Route::Blob { digest, .. } => blob(archives, request, environment, image, digest).await,
        Route::Tags { .. } => tags(request, name, image),
        Route::Base | Route::Unknown => unknown(),
    }
}

/// Names may have slashes, so a path is read from its end.
fn route(path: &str) -> Route<'_> {
    let Some(rest) = path.strip_prefix("v2/") else { return Route::Base };
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Route::Tags { name };
    }
    let mut parts = rest.rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(reference), Some("manifests"), Some(name)) => Route::Manifest { name, reference },
        (Some(digest), Some("blobs"), Some(name)) => Route::Blob { name, digest },
        _ => Route::Unknown,
    }
}

/// The stored manifest, whatever the client accepts: there is no other form of it to choose.
fn manifest(request: &Request, image: &Image, reference: &str) -> Response {
    let unknown = || {
        Code::ManifestUnknown
            .response("the image has no such tag or manifest", json!({ "reference": reference }))
    };
    let digest = if reference.contains(':') {
        match reference.parse::<Digest>() {
            Ok(digest) => digest,
            Err(err) => {
                return Code::DigestInvalid.response(&err.to_string(), json!({ "reference": reference }));
            }
        }
    } else {
        match image.tags.get(reference) {
            Some(digest) if is_tag(reference) => *digest,
            _ => return unknown(),
        }
    };
    let Some(manifest) = image.manifests.get(&digest) else { return unknown() };
    let Some(bytes) = &manifest.bytes else {
        return Code::Unknown.response(
            "the archive is damaged: this manifest cannot be read",
            json!({ "digest": digest.to_string() }),
        );
    };
    let etag = format!("\"{digest}\"");
    let response = if is_unchanged(request, &etag, None) {
        Response::not_modified()
    } else {
        Response::bytes(StatusCode::OK, &manifest.media_type, bytes.clone())
    };
    labelled(response).header("Docker-Content-Digest", digest).header("ETag", etag)
}

/// A blob is served for the images whose manifests name it, and for no other.
async fn blob(
    archives: &Archives,
    request: &Request,
    environment: &str,
    image: &Image,
    digest: &str,
) -> Response {
    let detail = json!({ "digest": digest });
    let digest: Digest = match digest.parse() {
        Ok(digest) => digest,
        Err(err) => return Code::DigestInvalid.response(&err.to_string(), detail),
    };
    let Some(&size) = image.blobs.get(&digest) else {
        return Code::BlobUnknown.response("the image has no such blob", detail);
    };
    match archives.open(environment, blob_path(digest)).await {
        Ok(opened) if opened.size == size => {
            let validators = Validators { etag: format!("\"{digest}\""), with_date: false };
            labelled(content::file(request, opened, "application/octet-stream", Some(validators)))
                .header("Docker-Content-Digest", digest)
        }
        Ok(opened) => {
            tracing::error!(
                environment, path = %opened.path.display(), found = opened.size, expected = size,
                "a blob has the wrong size, the archive is damaged"
            );
            Code::Unknown.response("the archive is damaged: this blob has the wrong size", detail)
        }
        Err(OpenError::Absent) => Code::BlobUnknown.response("the archive has no such blob", detail),
        Err(err) => {
            content::log_failure(&err);
            Code::Unknown.response("the blob cannot be read", detail)
        }
    }
}

/// All tags in order, or `n` of them after `last`.
fn tags(request: &Request, name: &str, image: &Image) -> Response {
    let parameter =
        |key: &str| request.query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    let last = parameter("last").filter(|tag| is_tag(tag)).unwrap_or_default();
    let most = parameter("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let mut rest = image.tags.keys().filter(|tag| tag.as_str() > last).peekable();
    let page: Vec<&String> = rest.by_ref().take(most).collect();
    let link = match (page.last(), rest.peek()) {
        (Some(last), Some(_)) => Some(format!("</v2/{name}/tags/list?n={most}&last={last}>; rel=\"next\"")),
        _ => None,
    };
    let body = json!({ "name": name, "tags": page }).to_string();
    let response = labelled(Response::bytes(StatusCode::OK, "application/json", body));
    match link {
        Some(link) => response.header("Link", link),
        None => response,
    }
}

/// Older clients look for this header to tell a registry from any other server.
fn labelled(response: Response) -> Response {
    response.header("Docker-Distribution-Api-Version", "registry/2.0")
}

/// Number of images and of tags, for the overview.
pub(super) fn count(layout: &Layout) -> (usize, usize) {
    (layout.images.len(), layout.images.values().map(|image| image.tags.len()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        assert_eq!(route("v2"), Route::Base);
        assert_eq!(route("v2/e/a/b/manifests/1"), Route::Manifest { name: "e/a/b", reference: "1" });
        assert_eq!(route("v2/e/blobs/blobs/blobs/x"), Route::Blob { name: "e/blobs/blobs", digest: "x" });
        assert_eq!(route("v2/e/a/tags/list"), Route::Tags { name: "e/a" });
        for path in ["v2/e", "v2/manifests/1", "v2/e/a", "v2/tags/list", "v2/e/a/referrers/x", "v2/_catalog"]
        {
            assert_eq!(route(path), Route::Unknown, "{path}");
        }
    }
}
