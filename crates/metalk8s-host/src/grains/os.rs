//! The operating system, from os-release(5).

use std::path::Path;

use metalk8s_engine::StateError;
use metalk8s_types::grains::{OperatingSystem, OsFamily};

use crate::Host;

/// Reads what the host says of itself; of family `Other` where it says nothing.
pub(crate) fn read(host: &Host) -> Result<OperatingSystem, StateError> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(text) = host.read_text(Path::new(path))? {
            return Ok(parse(&text));
        }
    }
    Ok(parse(""))
}

fn parse(text: &str) -> OperatingSystem {
    let value = |key: &str| {
        let found = text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        unquoted(found.unwrap_or_default())
    };
    let (id, like) = (value("ID"), value("ID_LIKE"));
    let is = |names: &[&str]| like.split(' ').chain([&*id]).any(|word| names.contains(&word));
    let family = if is(&["debian", "ubuntu"]) {
        OsFamily::Debian
    } else if is(&["rhel", "fedora", "centos"]) {
        OsFamily::RedHat
    } else {
        OsFamily::Other
    };
    OperatingSystem {
        version: value("VERSION_ID"),
        codename: value("VERSION_CODENAME"),
        pretty_name: value("PRETTY_NAME"),
        id,
        family,
    }
}

/// A value of the shell: in quotes of either kind, or bare; special characters after a backslash.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let mut letters = inner.unwrap_or(value).chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_systems_are_known_by_their_family() {
        for (text, id, version, family) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
                "debian",
                "12",
                OsFamily::Debian,
            ),
            ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n", "ubuntu", "24.04", OsFamily::Debian),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n",
                "rocky",
                "9.4",
                OsFamily::RedHat,
            ),
            ("ID=rhel\nVERSION_ID=8.10\n", "rhel", "8.10", OsFamily::RedHat),
            ("ID=arch\n", "arch", "", OsFamily::Other),
        ] {
            let os = parse(text);
            assert_eq!((&*os.id, &*os.version, os.family), (id, version, family));
        }
    }

    #[test]
    fn quotes_and_backslashes_are_taken_away() {
        assert_eq!(unquoted(r#""a \"b\" \$c""#), "a \"b\" $c");
        assert_eq!(unquoted("bare"), "bare");
        assert_eq!(unquoted("\""), "\"");
    }
}
