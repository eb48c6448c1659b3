//! `archive`: unpacked archives.

use std::path::PathBuf;

use metalk8s_diagnostics::explain;
use metalk8s_engine::{State, state::Extracted};

use super::Function;
use crate::{args::Args, roots::is_inside, yaml::Node};

/// How the names of archives end that are refused before they are looked at.
const OTHER_FORMATS: [&str; 8] = [".zip", ".rar", ".7z", ".xz", ".txz", ".bz2", ".tbz2", ".tbz"];
const FORMATS: &str = "a tar archive, plain or compressed by gzip or zstd";

/// `skip_verify` is accepted and needs nothing: without a hash none is compared.
pub(super) const FUNCTIONS: &[Function] = &[Function {
    module: "archive",
    name: "extracted",
    does: "unpacks a tar archive into a directory",
    arguments: &[
        "source",
        "source_hash",
        "skip_verify",
        "archive_format",
        "options",
        "enforce_toplevel",
        "user",
        "group",
    ],
    build: extracted,
}];

fn extracted(args: &mut Args<'_>) -> Option<State> {
    let target = args.name_as_path();
    let source = source(args);
    let sha256 = hash(args);
    let skip_verify = args.boolean("skip_verify").unwrap_or(false);
    check_format(args);
    let strip_components = strip_components(args);
    if let (Some(true), Some(node)) = (args.boolean("enforce_toplevel"), args.node("enforce_toplevel")) {
        let message = "what stands at the top of an archive is not examined";
        args.wrong(explain::SLS_BAD_VALUE, "enforce_toplevel", node, message, "`False`");
    }
    let (user, group) = (args.text("user"), args.text("group"));
    Some(State::Extracted(Extracted {
        source: source?,
        target: target?,
        sha256: sha256.filter(|_| !skip_verify),
        strip_components,
        user,
        group,
    }))
}

/// `salt://` from the file roots, a path of the host itself; of several, the first that is there.
fn source(args: &mut Args<'_>) -> Option<PathBuf> {
    let Some(node) = args.node("source") else {
        args.missing("source", "`salt://path`, or an absolute path of this host");
        return None;
    };
    for source in args.texts("source")? {
        let lower = source.to_ascii_lowercase();
        if OTHER_FORMATS.iter().any(|end| lower.ends_with(end)) {
            let message = "archives of this format are not supported";
            args.wrong(explain::SLS_BAD_VALUE, "source", node, message, FORMATS);
            return None;
        }
        if let Some(path) = source.strip_prefix("salt://") {
            if let Some(found) = in_roots(args, node, &source, path)? {
                return Some(found);
            }
            continue;
        }
        let path = source.strip_prefix("file://").unwrap_or(&source);
        if !path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
            let accepted = "`salt://path`, or an absolute path of this host without `..`";
            args.wrong(explain::SLS_BAD_VALUE, "source", node, "this source is not supported", accepted);
            return None;
        }
        return Some(path.into());
    }
    let accepted = "a path below the file roots";
    args.wrong(explain::SLS_SOURCE_NOT_FOUND, "source", node, "the source does not exist", accepted);
    None
}

/// Where a file of the roots is: nothing when something is wrong, `Some(None)` when it is not there.
fn in_roots(args: &mut Args<'_>, node: &Node, source: &str, path: &str) -> Option<Option<PathBuf>> {
    // Before it is looked for: the roots trust the path.
    if !is_inside(path) {
        let message = "the path leaves the file roots";
        args.wrong(explain::SLS_BAD_VALUE, "source", node, message, "a path without `..`");
        return None;
    }
    let found = args.roots.find(path);
    if let Err(err) = &found {
        let message = format!("`{source}` cannot be read: {err}");
        args.wrong(explain::SLS_SOURCE_NOT_FOUND, "source", node, &message, "a regular file");
    }
    found.ok()
}

/// The digest that the archive must have.
fn hash(args: &mut Args<'_>) -> Option<String> {
    let text = args.text("source_hash")?;
    let digits = ["sha256=", "sha256:"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(digits.to_ascii_lowercase());
    }
    let node = args.node("source_hash")?;
    let accepted = "`sha256=` and 64 hexadecimal digits";
    args.wrong(explain::SLS_BAD_VALUE, "source_hash", node, "this is no digest that is compared", accepted);
    None
}

/// Which of the formats it is, its first bytes tell.
fn check_format(args: &mut Args<'_>) {
    if let (Some(format), Some(node)) = (args.text("archive_format"), args.node("archive_format"))
        && format != "tar"
    {
        let message = "archives of this format are not supported";
        args.wrong(explain::SLS_BAD_VALUE, "archive_format", node, message, "`tar`");
    }
}

/// The only option of tar(1) that is understood.
fn strip_components(args: &mut Args<'_>) -> u32 {
    let Some(options) = args.text("options") else { return 0 };
    let mut words = options.split_whitespace();
    let mut strip = Some(0);
    while let (Some(_), Some(word)) = (strip, words.next()) {
        strip = match word.strip_prefix("--strip-components") {
            Some("") => words.next().and_then(number),
            Some(rest) => rest.strip_prefix('=').and_then(number),
            None => None,
        };
    }
    if let (None, Some(node)) = (strip, args.node("options")) {
        let message = "of the options of tar(1) only one is supported";
        args.wrong(explain::SLS_BAD_VALUE, "options", node, message, "`--strip-components=N`");
    }
    strip.unwrap_or(0)
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok()
}
