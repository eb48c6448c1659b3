use crate::archive::{Archive, ENVIRONMENT};
use crate::client::{ask, get};
use crate::server::Running;

const DEB: &str = "/metalk8s-0.1.0/debian/bookworm/pool/kubelet_1.35.4+a~1_amd64.deb";
const IN_RELEASE: &str = "/metalk8s-0.1.0/debian/bookworm/dists/bookworm/InRelease";

#[tokio::test]
async fn packages_and_programs_are_served() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let reply = get(server.address, DEB).await;
    assert_eq!((reply.status, reply.text()), (200, "0123456789"));
    assert_eq!(reply.header("Content-Type"), Some("application/vnd.debian.binary-package"));
    assert_eq!(get(server.address, &DEB.replace('+', "%2B").replace('~', "%7e")).await.status, 200);
    assert_eq!(get(server.address, "/metalk8s-0.1.0/bin/metalk8s").await.text(), "program");
    assert_eq!(get(server.address, IN_RELEASE).await.text(), "signed\n");
    assert_eq!(
        get(server.address, "/metalk8s-0.1.0/debian/./bookworm//dists/bookworm/InRelease").await.status,
        200
    );
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stood() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let modified = get(server.address, DEB).await.header("Last-Modified").unwrap().to_owned();
    let if_range = format!("If-Range: {modified}");
    let reply = ask(server.address, "GET", DEB, &["Range: bytes=4-", &if_range]).await;
    assert_eq!((reply.status, reply.text()), (206, "456789"));
}

#[tokio::test]
async fn an_unchanged_package_is_not_sent_again_but_an_entry_file_is() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let reply = get(server.address, DEB).await;
    for validator in [
        format!("If-None-Match: {}", reply.header("ETag").unwrap()),
        format!("If-Modified-Since: {}", reply.header("Last-Modified").unwrap()),
    ] {
        assert_eq!(ask(server.address, "GET", DEB, &[&validator]).await.status, 304, "{validator}");
    }
    let since = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT";
    let reply = ask(server.address, "GET", IN_RELEASE, &[since, "If-None-Match: *"]).await;
    assert_eq!((reply.status, reply.text()), (200, "signed\n"));
}

#[tokio::test]
async fn the_rest_of_the_archive_and_of_the_root_is_not_served() {
    let archive = Archive::new();
    std::fs::create_dir_all(archive.root.path().join("plain/packages")).unwrap();
    std::fs::write(archive.root.path().join("plain/packages/a"), "no archive").unwrap();
    std::fs::write(archive.root.path().join("file"), "no archive").unwrap();
    let server = Running::start(archive.root.path()).await;
    for target in [
        "/metalk8s-0.1.0",
        "/metalk8s-0.1.0/",
        "/metalk8s-0.1.0/secret.txt",
        "/metalk8s-0.1.0/product.txt",
        "/metalk8s-0.1.0/packages/debian",
        "/metalk8s-0.1.0/debian",
        "/metalk8s-0.1.0/bin",
        "/metalk8s-0.1.0/bin/",
        "/metalk8s-0.2.0/debian/bookworm/dists/bookworm/InRelease",
        "/plain/a",
        "/file",
        "/favicon.ico",
    ] {
        assert_eq!(get(server.address, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn people_and_probes_get_their_answers() {
    let mut archive = Archive::new();
    archive.image("etcd:3.6.16", b"layer");
    archive.image("etcd:3.6.17", b"layer");
    let server = Running::start(archive.root.path()).await;
    assert_eq!(get(server.address, "/healthz").await.text(), "ok");
    let overview: serde_json::Value = serde_json::from_slice(&get(server.address, "/").await.body).unwrap();
    let expected = serde_json::json!({ "archives": [
        { "name": ENVIRONMENT, "packages": "/metalk8s-0.1.0/", "images": 1, "tags": 2 }
    ] });
    assert_eq!(overview, expected);
    get(server.address, "/nothing").await;
    let metrics = get(server.address, "/metrics").await;
    for line in [
        "metalk8s_repositories_archives 1",
        "metalk8s_repositories_images{archive=\"metalk8s-0.1.0\"} 1",
        "metalk8s_repositories_connections_total 4",
        "metalk8s_repositories_answers_total{class=\"2xx\"} 2",
        "metalk8s_repositories_answers_total{class=\"4xx\"} 1",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line} in {}", metrics.text());
    }
}

#[tokio::test]
async fn a_root_that_is_absent_is_an_empty_one_until_it_comes() {
    let archive = Archive::new();
    let root = archive.root.path().join("later");
    let server = Running::start(&root).await;
    assert_eq!(get(server.address, IN_RELEASE).await.status, 404);
    std::fs::create_dir(&root).unwrap();
    std::fs::rename(&archive.path, root.join(ENVIRONMENT)).unwrap();
    assert_eq!(get(server.address, IN_RELEASE).await.status, 200);
}

#[tokio::test]
async fn an_archive_mounted_while_it_runs_is_served_and_so_is_one_in_its_place() {
    let archive = Archive::new();
    let away = archive.remove();
    std::fs::create_dir(&archive.path).unwrap();
    let server = Running::start(archive.root.path()).await;
    assert_eq!(get(server.address, IN_RELEASE).await.status, 404, "only the mount point is there");

    // Another folder appears under the name, as it does with a mount.
    std::fs::rename(&away, &archive.path).unwrap();
    let first = get(server.address, IN_RELEASE).await;
    assert_eq!(first.status, 200);

    let newer = Archive::new();
    newer.write("packages/debian/bookworm/dists/bookworm/InRelease", b"of a newer build");
    let old = archive.remove();
    std::fs::rename(&newer.path, &archive.path).unwrap();
    assert_eq!(get(server.address, IN_RELEASE).await.text(), "of a newer build");
    drop(old);
}
