use metalk8s_gateway::repositories::Digest;

use crate::archive::{Archive, ENVIRONMENT, INDEX_TYPE, MANIFEST_TYPE, blob_path, noise};
use crate::client::{ask, get};
use crate::eventually;
use crate::server::Running;

fn url(rest: &str) -> String {
    format!("/v2/{ENVIRONMENT}/{rest}")
}

#[tokio::test]
async fn the_base_tells_a_client_that_this_is_a_registry() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    for path in ["/v2/", "/v2"] {
        let reply = get(server.address, path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("Docker-Distribution-Api-Version"), Some("registry/2.0"));
    }
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let mut archive = Archive::new();
    let layer = noise(300_000);
    let image = archive.image("etcd:3.6.16", &layer);
    let server = Running::start(archive.root.path()).await;

    for reference in ["3.6.16".to_owned(), image.manifest.to_string()] {
        let target = url(&format!("etcd/manifests/{reference}?ns=metalk8s-registry-from-config.invalid"));
        let reply = ask(server.address, "GET", &target, &["Accept: application/json"]).await;
        assert_eq!(reply.status, 200, "{reference}");
        assert_eq!(reply.body, image.manifest_bytes);
        assert_eq!(reply.header("Content-Type"), Some(MANIFEST_TYPE));
        assert_eq!(reply.header("Docker-Content-Digest"), Some(image.manifest.to_string().as_str()));
    }
    for digest in [image.config, image.layer] {
        let reply = get(server.address, &url(&format!("etcd/blobs/{digest}"))).await;
        assert_eq!(reply.status, 200);
        assert_eq!(Digest::of(&reply.body), digest);
        assert_eq!(reply.header("Docker-Content-Digest"), Some(digest.to_string().as_str()));
    }
}

#[tokio::test]
async fn head_tells_what_get_would_and_sends_nothing() {
    let mut archive = Archive::new();
    let image = archive.image("etcd:3.6.16", &noise(100_000));
    let server = Running::start(archive.root.path()).await;
    for target in
        [url("etcd/manifests/3.6.16"), url(&format!("etcd/blobs/{}", image.layer)), url("etcd/tags/list")]
    {
        let full = get(server.address, &target).await;
        let head = ask(server.address, "HEAD", &target, &["Connection: close"]).await;
        assert_eq!(head.status, 200);
        for name in ["Content-Length", "Content-Type", "ETag", "Docker-Content-Digest"] {
            assert_eq!(head.header(name), full.header(name), "{target} {name}");
        }
        let raw = format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = crate::client::raw(server.address, raw.as_bytes()).await;
        assert!(answer.ends_with("\r\n\r\n"), "a body follows: {answer}");
    }
}

#[tokio::test]
async fn the_manifests_of_an_index_are_pulled_too() {
    let mut archive = Archive::new();
    let child = archive.image("child:1", b"layer");
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[{{"mediaType":"{MANIFEST_TYPE}","digest":"{}","size":{}}}]}}"#,
        child.manifest,
        child.manifest_bytes.len()
    );
    let index = archive.blob(bytes.as_bytes());
    archive.entry("parent:1", index, INDEX_TYPE, bytes.len());
    let server = Running::start(archive.root.path()).await;

    let reply = get(server.address, &url("parent/manifests/1")).await;
    assert_eq!(reply.header("Content-Type"), Some(INDEX_TYPE));
    let reply = get(server.address, &url(&format!("parent/manifests/{}", child.manifest))).await;
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some(MANIFEST_TYPE)));
    assert_eq!(get(server.address, &url(&format!("parent/blobs/{}", child.layer))).await.body, b"layer");
}

#[tokio::test]
async fn a_part_of_a_blob_is_sent_as_asked() {
    let mut archive = Archive::new();
    let layer = noise(3_000_000);
    let digest = archive.image("etcd:3.6.16", &layer).layer;
    let server = Running::start(archive.root.path()).await;
    let target = url(&format!("etcd/blobs/{digest}"));
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, 3_000_000),
        ("bytes=1500000-1500099", 1_500_000, 1_500_100),
        ("bytes=2999999-9999999", 2_999_999, 3_000_000),
        ("bytes=-7", 2_999_993, 3_000_000),
    ] {
        let reply = ask(server.address, "GET", &target, &[&format!("Range: {range}")]).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(
            reply.header("Content-Range"),
            Some(format!("bytes {start}-{}/3000000", end - 1).as_str())
        );
        assert!(reply.body == layer[start..end], "{range}");
    }
    for range in ["bytes=3000000-", "bytes=-0"] {
        let reply = ask(server.address, "GET", &target, &[&format!("Range: {range}")]).await;
        assert_eq!((reply.status, reply.header("Content-Range")), (416, Some("bytes */3000000")), "{range}");
    }
    let several = ask(server.address, "GET", &target, &["Range: bytes=0-1,5-6"]).await;
    assert_eq!((several.status, several.body.len()), (200, 3_000_000));
    let other = ask(server.address, "GET", &target, &["Range: bytes=0-1", "If-Range: \"other\""]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let mut archive = Archive::new();
    let image = archive.image("etcd:3.6.16", b"layer");
    let server = Running::start(archive.root.path()).await;
    for target in [url("etcd/manifests/3.6.16"), url(&format!("etcd/blobs/{}", image.layer))] {
        let etag = get(server.address, &target).await.header("ETag").unwrap().to_owned();
        let reply = ask(server.address, "GET", &target, &[&format!("If-None-Match: {etag}")]).await;
        assert_eq!((reply.status, reply.header("ETag")), (304, Some(etag.as_str())));
        assert_eq!(reply.header("Content-Length"), None);
    }
}

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() {
    let mut archive = Archive::new();
    for tag in ["3", "1", "2"] {
        archive.image(&format!("etcd:{tag}"), b"layer");
    }
    let server = Running::start(archive.root.path()).await;
    let name = format!("{ENVIRONMENT}/etcd");
    let list = |tags: serde_json::Value| serde_json::json!({ "name": name, "tags": tags }).to_string();
    let all = get(server.address, &url("etcd/tags/list")).await;
    assert_eq!(all.text(), list(serde_json::json!(["1", "2", "3"])));
    let first = get(server.address, &url("etcd/tags/list?n=2")).await;
    assert_eq!(first.text(), list(serde_json::json!(["1", "2"])));
    let next = first.header("Link").unwrap().trim_start_matches('<').split('>').next().unwrap();
    let second = get(server.address, next).await;
    assert_eq!(second.text(), list(serde_json::json!(["3"])));
    assert_eq!(second.header("Link"), None);
    assert_eq!(get(server.address, &url("etcd/tags/list?n=0")).await.text(), list(serde_json::json!([])));
}

#[tokio::test]
async fn errors_are_those_of_the_specification() {
    let mut archive = Archive::new();
    let etcd = archive.image("etcd:3.6.16", b"layer of etcd");
    let other = archive.image("coredns:1.14.7", b"layer of coredns");
    let server = Running::start(archive.root.path()).await;
    let none = Digest::of(b"none");
    for (target, status, code) in [
        ("/v2/nothing/etcd/manifests/1".to_owned(), 404, "NAME_UNKNOWN"),
        ("/v2/etcd/manifests/1".to_owned(), 404, "NAME_UNKNOWN"),
        (url("none/manifests/1"), 404, "NAME_UNKNOWN"),
        (url("none/tags/list"), 404, "NAME_UNKNOWN"),
        (url("Etcd/manifests/1"), 400, "NAME_INVALID"),
        (url("etcd/manifests/1"), 404, "MANIFEST_UNKNOWN"),
        (url("etcd/manifests/a%20b"), 404, "MANIFEST_UNKNOWN"),
        (url(&format!("etcd/manifests/{none}")), 404, "MANIFEST_UNKNOWN"),
        (url(&format!("etcd/manifests/{}", other.manifest)), 404, "MANIFEST_UNKNOWN"),
        (url("etcd/manifests/sha256:abc"), 400, "DIGEST_INVALID"),
        (url(&format!("etcd/blobs/{none}")), 404, "BLOB_UNKNOWN"),
        (url(&format!("etcd/blobs/{}", other.layer)), 404, "BLOB_UNKNOWN"),
        (url(&format!("etcd/blobs/{}", etcd.manifest)), 404, "BLOB_UNKNOWN"),
        (url("etcd/blobs/sha256:..%2f..%2fpasswd"), 404, "NAME_UNKNOWN"),
        (url("etcd/blobs/md5:00"), 400, "DIGEST_INVALID"),
    ] {
        if target.contains("..%2f") {
            // `sha256:..` is a name, not the parent; what follows it is, and is refused before any lookup.
            assert_eq!(get(server.address, &target).await.status, 400);
            continue;
        }
        let reply = get(server.address, &target).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{target}");
        assert_eq!(reply.header("Content-Type"), Some("application/json"));
    }
}

#[tokio::test]
async fn writing_is_not_supported() {
    let mut archive = Archive::new();
    archive.image("etcd:3.6.16", b"layer");
    let server = Running::start(archive.root.path()).await;
    for (method, rest) in [
        ("POST", "etcd/blobs/uploads/"),
        ("PUT", "etcd/manifests/3.6.16"),
        ("PATCH", "etcd/blobs/uploads/1"),
        ("DELETE", "etcd/manifests/3.6.16"),
    ] {
        let reply = ask(server.address, method, &url(rest), &["Content-Length: 0"]).await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "UNSUPPORTED"), "{method}");
        assert_eq!(reply.header("Allow"), Some("GET, HEAD"));
    }
    assert_eq!(get(server.address, &url("etcd/manifests/3.6.16")).await.status, 200);
}

#[tokio::test]
async fn a_damaged_archive_is_never_served_as_if_it_were_whole() {
    let mut archive = Archive::new();
    let etcd = archive.image("etcd:3.6.16", b"layer of etcd");
    let cut = archive.image("coredns:1.14.7", b"layer of coredns");
    let whole = archive.image("pause:1", b"layer of pause");
    let mut flipped = etcd.manifest_bytes.clone();
    flipped[10] ^= 1;
    archive.write(&blob_path(etcd.manifest), &flipped);
    archive.write(&blob_path(cut.layer), b"layer of");
    let server = Running::start(archive.root.path()).await;

    let manifest = get(server.address, &url("etcd/manifests/3.6.16")).await;
    assert_eq!((manifest.status, manifest.code().as_str()), (500, "UNKNOWN"));
    let blob = get(server.address, &url(&format!("coredns/blobs/{}", cut.layer))).await;
    assert_eq!((blob.status, blob.code().as_str()), (500, "UNKNOWN"));
    assert_eq!(get(server.address, &url(&format!("pause/blobs/{}", whole.layer))).await.status, 200);

    archive.write(&blob_path(etcd.manifest), &etcd.manifest_bytes);
    eventually("the mended manifest is served", async || {
        get(server.address, &url("etcd/manifests/3.6.16")).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_index_is_a_fault_and_not_an_empty_archive() {
    let archive = Archive::new();
    archive.write("images/index.json", b"{ not json");
    let server = Running::start(archive.root.path()).await;
    let reply = get(server.address, &url("etcd/manifests/1")).await;
    assert_eq!((reply.status, reply.code().as_str()), (500, "UNKNOWN"));
}

#[tokio::test]
async fn archives_and_images_come_and_go_while_it_runs() {
    let mut archive = Archive::new();
    archive.image("etcd:3.6.16", b"layer");
    let away = archive.remove();
    let server = Running::start(archive.root.path()).await;
    let target = url("etcd/manifests/3.6.16");
    assert_eq!(get(server.address, &target).await.code(), "NAME_UNKNOWN");

    std::fs::rename(&away, &archive.path).unwrap();
    assert_eq!(
        get(server.address, &target).await.status,
        200,
        "a name that is not known is looked up at once"
    );

    archive.image("etcd:3.7.0", b"newer layer");
    eventually("the new tag", async || get(server.address, &url("etcd/manifests/3.7.0")).await.status == 200)
        .await;

    archive.remove();
    eventually("the archive is gone", async || get(server.address, &target).await.status == 404).await;
}
