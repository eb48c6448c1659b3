//! The book as it stands in `docs/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use metalk8s_build::book::{
    live::{Live, serve},
    render,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use walkdir::WalkDir;

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))
}

/// Names and bytes of all files.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files =
        WalkDir::new(root).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    files.map(|entry| (name(entry.path()), fs::read(entry.path()).unwrap())).collect()
}

fn rendered(docs: &Path) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    render(docs, out.path()).unwrap();
    files(out.path())
}

/// A book of its own, with these pages.
fn mistakes(pages: &[(&str, &str)]) -> String {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let book = "[book]\nsrc = \".\"\n[build]\ncreate-missing = false\n";
    for (name, text) in [&[("book.toml", book)], pages].concat() {
        fs::write(folder.path().join(name), text).unwrap();
    }
    format!("{:#}", render(folder.path(), out.path()).unwrap_err())
}

#[test]
fn every_page_is_reached_and_every_link_inside_leads_somewhere() {
    let files = rendered(docs());
    for page in ["index.html", "reference/glossary.html", "installation/bootstrap.html"] {
        assert!(files.contains_key(page), "{page} is not among {:?}", files.keys());
    }
    assert!(files.keys().any(|name| name.starts_with("searchindex")), "it cannot be searched");
    assert!(!files.keys().any(|name| name.ends_with(".md") || name.ends_with(".toml")));
}

#[test]
fn two_renderings_in_two_places_have_the_same_bytes() {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(docs()) {
        let path = copy.path().join("elsewhere").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(rendered(docs()), rendered(&copy.path().join("elsewhere")));
}

#[test]
fn a_page_without_a_way_to_it_is_named() {
    let pages = [("SUMMARY.md", "- [A](a.md)\n"), ("a.md", "# A\n"), ("lost.md", "# Lost\n")];
    let mistakes = mistakes(&pages);
    assert!(mistakes.ends_with("SUMMARY.md does not lead to lost.md"), "{mistakes}");
}

#[test]
fn a_link_to_a_page_or_a_part_that_is_not_there_is_named() {
    let text = "# A\n[page](b.md) [part](#c) [good](#a)\n";
    let mistakes = mistakes(&[("SUMMARY.md", "- [A](a.md)\n"), ("a.md", text)]);
    for link in ["`b.", "`#c`"] {
        assert!(mistakes.contains(&format!("a.html: the link to {link}")), "{mistakes}");
    }
    assert!(!mistakes.contains("`#a`"), "{mistakes}");
}

#[test]
fn a_missing_page_of_the_contents_is_an_error() {
    let mistakes = mistakes(&[("SUMMARY.md", "- [A](a.md)\n")]);
    assert!(mistakes.contains("a.md"), "{mistakes}");
}

#[tokio::test]
async fn a_page_that_is_written_is_rendered_again_and_open_pages_are_told() {
    let (docs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| fs::write(docs.path().join(name), text).unwrap();
    write("book.toml", "[book]\nsrc = \".\"\n[build]\ncreate-missing = false\n");
    write("SUMMARY.md", "# Summary\n\n- [One](one.md)\n");
    write("one.md", "# One\n\nfirst words\n");
    let book = Live::render(docs.path(), &out.path().join("live")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, mut said) = mpsc::unbounded_channel();
    let server = tokio::spawn(serve(listener, book, move |text| told.send(text.to_owned()).unwrap()));

    let page = got(address, "/one.html").await;
    assert!(
        page.contains("text/html") && page.contains("first words") && page.contains("/.changes"),
        "{page}"
    );
    assert!(got(address, "/../book.toml").await.starts_with("HTTP/1.1 404"), "it serves more than the book");
    let mut changes = ask(address, "/.changes").await;
    until(&mut changes, "data: 0").await;
    write("one.md", "# One\n\nother words, and more of them\n");
    until(&mut changes, "data: 1").await;
    assert_eq!(said.recv().await.unwrap(), "rendered again");
    assert!(got(address, "/one.html").await.contains("other words"));

    write("SUMMARY.md", "# Summary\n\n- [One](one.md)\n- [Two](two.md)\n");
    let mistake = said.recv().await.unwrap();
    assert!(mistake.starts_with("error: ") && mistake.contains("two.md"), "{mistake}");
    assert!(got(address, "/one.html").await.contains("other words"), "the last good book is gone");
    server.abort();
}

/// A connection on which `path` was asked for.
async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The whole response.
async fn got(address: SocketAddr, path: &str) -> String {
    let mut text = String::new();
    ask(address, path).await.read_to_string(&mut text).await.unwrap();
    text
}

/// Reads a stream until it has said `wanted`.
async fn until(stream: &mut TcpStream, wanted: &str) {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "the stream ended after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
}
