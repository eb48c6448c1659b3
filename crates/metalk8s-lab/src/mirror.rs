//! Which Debian mirror this computer uses, read from its own apt sources.

use std::{fs, path::Path};

/// Where packages are had from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its address, as debootstrap takes it.
    pub url: String,
    /// The keyring that its packages are checked with, if the source names one.
    pub keyring: Option<String>,
}

/// Finds the first source for packages of a suite, such as `bookworm`, below `/etc/apt`.
pub fn find(suite: &str, apt: &Path) -> Option<Mirror> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        match path.extension()?.to_str()? {
            "list" => from_lines(&text, suite),
            "sources" => from_stanzas(&text, suite),
            _ => None,
        }
    })
}

/// The one-line form: `deb [signed-by=KEYRING] URL SUITE COMPONENT...`.
fn from_lines(text: &str, suite: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(more) => more.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (url, found) = (words.next()?, words.next()?);
        let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        (found == suite && words.any(|component| component == "main")).then(|| mirror(url, keyring)).flatten()
    })
}

/// The form of deb822: stanzas with `Types`, `URIs`, `Suites`, `Components`, `Signed-By`.
fn from_stanzas(text: &str, suite: &str) -> Option<Mirror> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let has = |name: &str, word: &str| {
            field(name).is_some_and(|value| value.split_whitespace().any(|found| found == word))
        };
        let enabled = field("Enabled").is_none_or(|value| !value.eq_ignore_ascii_case("no"));
        if !(enabled && has("Types", "deb") && has("Suites", suite) && has("Components", "main")) {
            return None;
        }
        field("URIs")?.split_whitespace().find_map(|url| mirror(url, field("Signed-By")))
    })
}

/// Only what debootstrap can read from.
fn mirror(url: &str, keyring: Option<&str>) -> Option<Mirror> {
    let readable = ["http://", "https://", "file:/"].iter().any(|scheme| url.starts_with(scheme));
    let keyring = keyring.filter(|path| path.starts_with('/')).map(str::to_owned);
    readable.then(|| Mirror { url: url.to_owned(), keyring })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, read: fn(&str, &str) -> Option<Mirror>, expect: Option<(&str, Option<&str>)>) {
        let expect =
            expect.map(|(url, keyring)| Mirror { url: url.to_owned(), keyring: keyring.map(str::to_owned) });
        assert_eq!(read(text, "bookworm"), expect, "{text}");
    }

    #[test]
    fn one_line_sources_are_read() {
        check(
            "deb http://mirror.test/debian bookworm main",
            from_lines,
            Some(("http://mirror.test/debian", None)),
        );
        check(
            "# comment\ndeb-src http://mirror.test/src bookworm main\n\
             deb [arch=amd64 signed-by=/keys/a.gpg] https://mirror.test/debian bookworm main contrib\n",
            from_lines,
            Some(("https://mirror.test/debian", Some("/keys/a.gpg"))),
        );
    }

    #[test]
    fn sources_of_other_suites_or_methods_are_passed_over() {
        check("deb http://mirror.test/security bookworm-security main", from_lines, None);
        check("deb cdrom:[Debian]/ bookworm main", from_lines, None);
        check("deb http://mirror.test/debian bookworm contrib", from_lines, None);
    }

    #[test]
    fn stanzas_are_read_and_comments_in_them_ignored() {
        check(
            "Types: deb\nURIs: http://mirror.test/other\nSuites: trixie\nComponents: main\n\n\
             Types: deb\n# URIs: http://mirror.test/old\nURIs: http://mirror.test/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys/a.gpg\n",
            from_stanzas,
            Some(("http://mirror.test/debian", Some("/keys/a.gpg"))),
        );
    }

    #[test]
    fn a_disabled_stanza_is_not_used() {
        check(
            "Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n",
            from_stanzas,
            None,
        );
    }

    #[test]
    fn the_folder_is_searched_in_the_order_of_names() {
        let apt = tempfile::tempdir().unwrap();
        let folder = apt.path().join("sources.list.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("b.list"), "deb http://mirror.test/b bookworm main").unwrap();
        fs::write(folder.join("a.list.save"), "deb http://mirror.test/saved bookworm main").unwrap();
        assert_eq!(find("bookworm", apt.path()).unwrap().url, "http://mirror.test/b");
        assert_eq!(find("trixie", apt.path()), None);
    }
}
