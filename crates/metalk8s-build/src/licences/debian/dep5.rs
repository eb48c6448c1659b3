//! Debian's machine-readable form of `copyright`, version 1.0:
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>.

use std::collections::BTreeMap;

use metalk8s_artifacts::digest::sha256;
use spdx::{
    flags::IS_DEPRECATED,
    identifiers::{EXCEPTIONS, LICENSES},
};

use crate::licences::all_of;

/// Short names that SPDX has under another name, in lower case.
/// Debian's own copy of the Artistic License is Perl's.
const RENAMED: [(&str, &str); 9] = [
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0-Perl"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("sil-1.1", "OFL-1.1"),
    ("w3c-software", "W3C"),
];
/// What joins names, what binds least first. A list without a word is taken as all of it.
const JOINTS: [(&str, &str); 5] =
    [(", or ", " OR "), (", and ", " AND "), (", ", " AND "), (" or ", " OR "), (" and ", " AND ")];

/// The licence that a package declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// SPDX expression.
    pub license: String,
    /// What its `LicenseRef-` terms mean.
    pub texts: BTreeMap<String, String>,
}

/// The licence of everything in the sources of a package: which file went where, `copyright` does not tell.
pub fn declared(copyright: &str) -> Declared {
    machine_readable(copyright).unwrap_or_else(|| {
        let mut quotes = Quotes::default();
        let license = quotes.quote("copyright", copyright);
        Declared { license, texts: quotes.made }
    })
}

/// `None` for prose, and for a file that leaves out a licence.
fn machine_readable(copyright: &str) -> Option<Declared> {
    let paragraphs = paragraphs(copyright);
    let header = paragraphs.first()?;
    let format = header.get("format").or_else(|| header.get("format-specification"))?.to_ascii_lowercase();
    if !format.contains("copyright-format") && !format.contains("dep5") {
        return None;
    }
    let mut quotes = Quotes::default();
    for license in paragraphs.iter().filter_map(|paragraph| paragraph.get("license")) {
        if let Some((name, text)) = license.split_once('\n') {
            quotes.given.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| text.to_owned());
        }
    }
    let mut stated: Vec<Option<&String>> = paragraphs
        .iter()
        .filter(|paragraph| paragraph.contains_key("files"))
        .map(|paragraph| paragraph.get("license"))
        .collect();
    if stated.is_empty() {
        stated.push(header.get("license"));
    }
    let mut expressions = Vec::new();
    for license in stated {
        let name = license?.lines().next()?.trim();
        if name.is_empty() {
            return None;
        }
        expressions.push(quotes.expression(name));
    }
    let license = all_of(expressions.iter().map(String::as_str));
    Some(Declared { license, texts: quotes.made })
}

/// Fields by their name in lower case. Further lines of a field are without their indent.
fn paragraphs(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut paragraphs: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.trim().is_empty() {
            paragraphs.push(BTreeMap::new());
            current = None;
        } else if line.starts_with([' ', '\t']) {
            let value = current.as_ref().and_then(|key| paragraphs.last_mut()?.get_mut(key));
            if let Some(value) = value {
                let line = line.trim_end();
                value.push('\n');
                value.push_str(if line.trim() == "." { "" } else { line.get(1..).unwrap_or_default() });
            }
        } else if let (false, Some((key, value))) = (line.starts_with('#'), line.split_once(':')) {
            let key = key.trim().to_ascii_lowercase();
            paragraphs
                .last_mut()
                .and_then(|paragraph| paragraph.insert(key.clone(), value.trim().to_owned()));
            current = Some(key);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// Texts that a file gives, by name in lower case, and those that were quoted, by `LicenseRef-`.
#[derive(Debug, Default)]
struct Quotes {
    given: BTreeMap<String, String>,
    made: BTreeMap<String, String>,
}

impl Quotes {
    fn expression(&mut self, name: &str) -> String {
        for (joint, operator) in JOINTS {
            let parts = split(name, joint);
            if parts.len() > 1 {
                let parts: Vec<String> = parts.into_iter().map(|part| self.expression(part)).collect();
                return match operator {
                    " OR " => parts.join(operator),
                    _ => all_of(parts.iter().map(String::as_str)),
                };
            }
        }
        let known = match split(name, " with ")[..] {
            [license, exception] => spdx_license(license)
                .and_then(|license| Some(format!("{license} WITH {}", spdx_exception(exception)?))),
            _ => spdx_license(name),
        };
        known.unwrap_or_else(|| {
            let text = self.given.get(&name.to_ascii_lowercase()).cloned();
            // A name without a text is all that the package says.
            self.quote(name, &text.unwrap_or_else(|| name.to_owned()))
        })
    }

    fn quote(&mut self, name: &str, text: &str) -> String {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let word: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
        let id = format!("LicenseRef-Debian-{word}-{}", &sha256(text.as_bytes())[..8]);
        self.made.insert(id.clone(), text.to_owned());
        id
    }
}

/// Splits at a word in whatever case.
fn split<'a>(text: &'a str, joint: &str) -> Vec<&'a str> {
    let lower = text.to_ascii_lowercase();
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, _) in lower.match_indices(joint) {
        parts.push(text[from..at].trim());
        from = at + joint.len();
    }
    parts.push(text[from..].trim());
    parts
}

/// `GPL-2+` is `GPL-2.0-or-later`. A name without a version stays unknown where SPDX has only versions.
fn spdx_license(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if let Some((_, renamed)) = RENAMED.iter().find(|(debian, _)| *debian == name) {
        return Some((*renamed).to_owned());
    }
    let (stem, later) = match name.strip_suffix('+') {
        Some(stem) => (stem, true),
        None => (name.as_str(), false),
    };
    let which = if later { "or-later" } else { "only" };
    if let Some(version) = stem.strip_prefix("gfdl-niv-") {
        return on_list(&format!("gfdl-{version}-no-invariants-{which}")).map(str::to_owned);
    }
    for stem in [stem.to_owned(), format!("{stem}.0")] {
        if let Some(gnu) = on_list(&format!("{stem}-{which}")) {
            return Some(gnu.to_owned());
        }
        if let Some(other) = on_list(&stem) {
            return Some(if later { format!("{other}+") } else { other.to_owned() });
        }
    }
    None
}

fn on_list(lower: &str) -> Option<&'static str> {
    let current = LICENSES.iter().filter(|license| license.flags & IS_DEPRECATED == 0);
    current.map(|license| license.name).find(|name| name.eq_ignore_ascii_case(lower))
}

/// `LLVM exception` is `LLVM-exception`; of several versions none is taken.
fn spdx_exception(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace(' ', "-");
    let word = name.strip_suffix("-exception").unwrap_or(&name);
    let current = EXCEPTIONS.iter().filter(|exception| exception.flags & IS_DEPRECATED == 0);
    let is_named = |found: &&str| {
        let found = found.to_ascii_lowercase();
        found == word || found.strip_prefix(word).is_some_and(|rest| rest.starts_with("-exception"))
    };
    let mut found = current.map(|exception| exception.name).filter(is_named);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests;
