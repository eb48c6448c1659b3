//! Whatever an archive is made of: it is read, or refused, and nothing of it leads outside. See fuzz/README.md.

#[path = "hostile/archive_iso.rs"]
mod archive_iso;
#[path = "hostile/archive_layout.rs"]
mod archive_layout;
#[path = "hostile/archive_manifest.rs"]
mod archive_manifest;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const WORDS: [&str; 14] = [
    "{",
    "}",
    "[",
    "\"",
    ",",
    ":",
    "../",
    "/",
    "\\u0000",
    "\\ud800",
    "\u{1b}[2J",
    "\n",
    "VERSION=",
    "[[[[[[[[",
];
/// Fields behind a directory record, and the marks of descriptors.
const ISO_WORDS: [&str; 8] =
    ["CD001", "NM\u{6}\u{1}\0.", "CE\u{1c}\u{1}", "PX\u{24}\u{1}", "SP\u{7}\u{1}", "..", "/", "\0\0\0\0"];

#[test]
fn any_manifest_or_product_is_refused_or_safe_to_use() {
    seeded::run("archive_manifest", &WORDS, 10_000, archive_manifest::check);
}

#[test]
fn any_layout_is_refused_or_written_as_it_was_read() {
    seeded::run("archive_layout", &WORDS, 10_000, archive_layout::check);
}

#[test]
fn any_iso_is_refused_or_read_within_its_bounds() {
    seeded::run("archive_iso", &ISO_WORDS, 10_000, archive_iso::check);
}
