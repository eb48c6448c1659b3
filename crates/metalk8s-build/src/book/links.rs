//! Links of rendered pages that lead nowhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Component, Path, PathBuf},
};

use walkdir::WalkDir;

/// What a page offers and what it asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    ids: BTreeSet<String>,
    links: BTreeSet<String>,
}

/// Links from page to page, to parts of pages and to other files below `root` that lead nowhere, each with its page.
/// Links to the outside are not followed.
pub(super) fn broken(root: &Path) -> io::Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for entry in WalkDir::new(root).sort_by_file_name() {
        let path = entry?.into_path();
        if path.extension().is_some_and(|extension| extension == "html") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            pages.insert(name, page(&fs::read_to_string(&path)?));
        }
    }
    let mut wrong = Vec::new();
    for (name, page) in &pages {
        for link in page.links.iter().filter(|link| !is_outside(link)) {
            let (path, part) = link.split_once('#').unwrap_or((link, ""));
            let mut target = if path.is_empty() { name.clone() } else { beside(name, path) };
            if root.join(&target).is_dir() {
                target.push("index.html");
            }
            let has_part = match pages.get(&target) {
                Some(page) => part.is_empty() || page.ids.contains(part),
                None => root.join(&target).is_file(),
            };
            if !has_part {
                wrong.push(format!("{}: the link to `{link}` leads nowhere", name.display()));
            }
        }
    }
    Ok(wrong)
}

/// Whether the link begins with a scheme, such as `https:`, or a host.
fn is_outside(link: &str) -> bool {
    let scheme = link.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric())) || link.starts_with("//")
}

/// The file that `link` means on the page `page`; both are relative to the root of the book.
fn beside(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    path
}

fn page(html: &str) -> Page {
    let mut page = Page::default();
    for (name, value) in attributes(html) {
        let value = value.replace("&amp;", "&");
        match name {
            "id" => drop(page.ids.insert(value)),
            "href" | "src" => drop(page.links.insert(value)),
            _ => {}
        }
    }
    page
}

/// Names and values of the attributes of all tags. mdBook writes values in double quotes.
fn attributes(html: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name = &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len())];
        rest = &tag[name.len()..];
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '<'));
            let key = &rest[..end.unwrap_or(rest.len())];
            rest = &rest[key.len()..];
            if let Some((value, after)) = rest.strip_prefix("=\"").and_then(|value| value.split_once('"')) {
                found.push((key, value));
                rest = after;
            } else if key.is_empty() || rest.starts_with('>') {
                break;
            } else {
                rest = rest.trim_start_matches('=');
            }
        }
        // What stands in them is no HTML.
        if matches!(name, "script" | "style") {
            rest = rest.split_once("</").map_or("", |(_, after)| after);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_in_tags_and_nowhere_else() {
        let html = "<!-- <a href=\"no\"> --><a class=x id=\"one\" href=\"a.html#b\"/>x id=\"no\" \
                    <script async src=\"b.js\">if (a<b) \"<a href='no'>\"</script><code>&lt;a href=\"no\"&gt;</code>\
                    <img hidden src=\"c&amp;d.svg\">";
        let found = page(html);
        assert_eq!(found.ids, BTreeSet::from(["one".to_owned()]));
        assert_eq!(found.links, BTreeSet::from(["a.html#b", "b.js", "c&d.svg"].map(str::to_owned)));
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_page() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "index.html",
            "<p id=\"top\"><a href=\"sub/a.html#here\"><a href=\"sub/b.html\"><a href=\"#top\">",
        );
        write(
            "sub/a.html",
            "<p id=\"here\"><a href=\"../index.html#bottom\"><a href=\"https://x/y\"><a href=\"../x.css\">",
        );
        write("x.css", "");
        let expected = [
            "index.html: the link to `sub/b.html` leads nowhere",
            "sub/a.html: the link to `../index.html#bottom` leads nowhere",
        ];
        assert_eq!(broken(folder.path()).unwrap(), expected);
    }
}
