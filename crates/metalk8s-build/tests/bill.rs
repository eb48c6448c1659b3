//! What mdBook puts into a book is what `versions.toml` lists for the bill of materials.

use std::{fs, path::Path};

use metalk8s_build::{book::render, versions::Versions};

/// Scripts of others in a book, and the rows that list them.
const OTHERS: [(&str, &str); 4] = [
    ("clipboard", "clipboard"),
    ("elasticlunr", "elasticlunr"),
    ("highlight", "highlight.js"),
    ("mark", "mark.js"),
];
/// Scripts of mdBook's own.
const OWN: [&str; 4] = ["book", "searcher", "searchindex", "toc"];

#[test]
fn the_scripts_and_icons_of_the_book_are_those_of_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let parts = Versions::read(&root).unwrap().parts;
    let version = |name: &str| parts[name].version.clone().unwrap();
    let out = tempfile::tempdir().unwrap();
    render(&root.join("docs"), out.path()).unwrap();

    let mut seen = 0;
    for entry in fs::read_dir(out.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "js") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let script = name.split(['-', '.']).next().unwrap();
        if OWN.contains(&script) {
            continue;
        }
        let other = OTHERS.iter().find(|(known, _)| *known == script);
        let (_, row) = other.unwrap_or_else(|| panic!("versions.toml does not list `{name}`"));
        let text = fs::read_to_string(&path).unwrap();
        let head = text.lines().take(4).collect::<Vec<_>>().join("\n");
        assert!(head.contains(&version(row)), "{row}: {head}");
        seen += 1;
    }
    assert_eq!(seen, OTHERS.len());

    let page = fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains(&format!("Font Awesome Free {} ", version("fontawesome-free"))));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("name = \"mdbook-html\"\nversion = \"{}\"\n", version("mdbook-html"))));
}
