use super::*;
use crate::licences::is_valid;

const HEADER: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n";

fn license(files: &[&str]) -> String {
    let paragraphs = files.iter().map(|name| format!("Files: *\nCopyright: somebody\nLicense: {name}\n\n"));
    declared(&format!("{HEADER}{}", paragraphs.collect::<String>())).license
}

#[test]
fn short_names_become_those_of_spdx() {
    for (debian, spdx) in [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("Apache-2", "Apache-2.0"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("zlib", "Zlib"),
        ("MPL-1.1+", "MPL-1.1+"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("Expat, and GPL-2+ or ISC, and Zlib", "(GPL-2.0-or-later OR ISC) AND MIT AND Zlib"),
        ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ("Apache-2.0 with LLVM exception", "Apache-2.0 WITH LLVM-exception"),
    ] {
        assert_eq!(license(&[debian]), spdx, "{debian}");
        assert!(is_valid(spdx), "{spdx}");
    }
}

#[test]
fn every_paragraph_counts_once() {
    assert_eq!(
        license(&["ISC", "Expat", "ISC", "GPL-2+ or ISC"]),
        "(GPL-2.0-or-later OR ISC) AND ISC AND MIT"
    );
}

#[test]
fn what_spdx_does_not_know_is_quoted_with_its_text() {
    let text = format!(
        "{HEADER}Files: *\nLicense: permissive and Expat\n\nLicense: Permissive\n Do what\n .\n   you like.\n"
    );
    let Declared { license, texts } = declared(&text);
    let (id, quoted) = texts.into_iter().next().unwrap();
    assert_eq!(license, format!("{id} AND MIT"));
    assert_eq!(quoted, "Do what\n\n  you like.");
    assert!(is_valid(&license), "{license}");
}

#[test]
fn names_without_version_and_unclear_exceptions_are_not_guessed() {
    for name in
        ["GPL", "LGPL+", "GPL-3+ with Bison exception", "GPL-2+ with OpenSSL exception", "BSD-3-clause-x"]
    {
        let license = license(&[name]);
        assert!(license.starts_with("LicenseRef-Debian-") && is_valid(&license), "{name}: {license}");
    }
}

#[test]
fn prose_is_quoted_whole() {
    let Declared { license, texts } = declared("This is free software.\nLicense: see elsewhere\n");
    assert_eq!(texts[&license], "This is free software.\nLicense: see elsewhere\n");
    assert!(license.starts_with("LicenseRef-Debian-copyright-") && is_valid(&license), "{license}");
}

#[test]
fn a_file_that_leaves_out_a_licence_counts_as_prose() {
    let text = format!("{HEADER}Files: *\nLicense: ISC\n\nFiles: b\nCopyright: somebody\n");
    assert!(declared(&text).license.starts_with("LicenseRef-Debian-copyright-"));
}
