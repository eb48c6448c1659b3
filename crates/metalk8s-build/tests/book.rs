//! The book as it stands in `docs/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use metalk8s_build::book::render;
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
