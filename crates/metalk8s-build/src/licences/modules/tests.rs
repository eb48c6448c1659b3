use std::sync::LazyLock;

use super::*;

const ISC: &str = "Copyright (c) 2020 Somebody <somebody@example.org>\n\n\
Permission to use, copy, modify, and distribute this software for any\n\
purpose with or without fee is hereby granted, provided that the above\n\
copyright notice and this permission notice appear in all copies.\n\n\
THE SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES\n\
WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF\n\
MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR\n\
ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES\n\
WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN\n\
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF\n\
OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.\n";

const MIT: &str = "Copyright 2021 Another\n\n\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the \"Software\"), to deal in the Software without restriction, including without limitation \
the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to \
permit persons to whom the Software is furnished to do so, subject to the following conditions:\n\n\
The above copyright notice and this permission notice shall be included in all copies or substantial portions of \
the Software.\n\n\
THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO \
THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE \
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, \
TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE \
SOFTWARE.\n";

fn of_files(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    static RECOGNISER: LazyLock<Recogniser> = LazyLock::new(Recogniser::new);
    license(&RECOGNISER, folder.path(), &mut BTreeMap::new()).unwrap()
}

#[test]
fn replaced_modules_are_listed_as_what_was_built() {
    let text = "etcd: go1.26.8\n\tpath\tx\n\tmod\tours\t(devel)\n\tdep\ta.org/a\tv1.0.0\th1:x=\n\
                \tdep\tb.org/b\tv1.0.0\n\t=>\tc.org/c\tv2.0.0\th1:y=\n\tbuild\tCGO_ENABLED=0\n";
    let found: Vec<_> = parse(text).into_iter().map(|found| (found.path, found.version, found.sum)).collect();
    let row =
        |path: &str, version: &str, sum: &str| (path.to_owned(), version.to_owned(), Some(sum.to_owned()));
    assert_eq!(found, [row("a.org/a", "v1.0.0", "h1:x="), row("c.org/c", "v2.0.0", "h1:y=")]);
    assert_eq!(standard_library(text).unwrap().version, "1.26.8");
}

#[test]
fn a_module_has_the_licence_of_its_file() {
    assert_eq!(of_files(&[("LICENSE", ISC), ("README.md", MIT)]), "ISC");
    assert_eq!(of_files(&[("license.md", MIT), ("LICENSE.docs", "whatever")]), "MIT");
}

#[test]
fn several_licences_all_hold() {
    assert_eq!(of_files(&[("LICENSE-MIT", MIT), ("COPYING", ISC)]), "ISC AND MIT");
    assert_eq!(
        of_files(&[("LICENSE", &format!("{ISC}\n---\n\nSome files are different:\n\n{MIT}"))]),
        "ISC AND MIT"
    );
}

#[test]
fn a_file_in_prose_may_name_the_licence_as_spdx_wants() {
    let prose = "It depends on the file.\n".repeat(40);
    assert_eq!(
        of_files(&[("COPYING.md", &format!("`SPDX-License-Identifier: ISC OR MIT`\n\n{prose}"))]),
        "ISC OR MIT"
    );
    assert_eq!(of_files(&[("COPYING.md", &format!("SPDX-License-Identifier: ours\n{prose}"))]), UNKNOWN);
}

#[test]
fn own_terms_and_no_terms_stay_unknown() {
    assert_eq!(
        of_files(&[("LICENSE", "Ask us before you use this program for anything at all.\n")]),
        UNKNOWN
    );
    assert_eq!(of_files(&[("LICENSE", ISC), ("LICENSE-2", "All rights reserved.\n")]), UNKNOWN);
    assert_eq!(of_files(&[("README.md", MIT)]), UNKNOWN);
    let demands =
        "Besides, whoever uses it for anything sends the author a card with the place where it runs.\n";
    assert_eq!(of_files(&[("LICENSE", &format!("{MIT}\n{demands}"))]), "MIT");
    assert_eq!(of_files(&[("LICENSE", &format!("{MIT}\n{}", demands.repeat(10)))]), UNKNOWN);
}

#[test]
fn licences_of_documents_and_lists_of_others_are_not_the_programs() {
    for (name, expected) in [
        ("LICENSE", true),
        ("LICENSE.libyaml", true),
        ("Licence.txt", true),
        ("UNLICENSE", true),
        ("LICENSE-3rdparty.csv", false),
        ("LICENSE.docs", false),
        ("license.go", false),
        ("licensing.md", false),
    ] {
        assert_eq!(is_statement(name), expected, "{name}");
    }
}
