//! `file`: parts of text files.

use metalk8s_diagnostics::explain;
use metalk8s_engine::{
    State,
    state::{Edit, EditError, FileEdit, Otherwise},
};

use super::Function;
use crate::args::Args;

/// `show_changes` and `backup: False` ask for what is done anyway; parents of files are always made.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "file",
        name: "append",
        does: "adds lines at the end of a file where it does not have them",
        arguments: &["text", "makedirs"],
        build: append,
    },
    Function {
        module: "file",
        name: "prepend",
        does: "adds lines at the beginning of a file where it does not have them",
        arguments: &["text", "makedirs"],
        build: prepend,
    },
    Function {
        module: "file",
        name: "replace",
        does: "replaces what matches a regular expression in a file",
        arguments: &[
            "pattern",
            "repl",
            "count",
            "append_if_not_found",
            "prepend_if_not_found",
            "not_found_content",
            "ignore_if_missing",
            "show_changes",
        ],
        build: replace,
    },
];

fn append(args: &mut Args<'_>) -> Option<State> {
    lines(args, Edit::Append)
}

fn prepend(args: &mut Args<'_>) -> Option<State> {
    lines(args, Edit::Prepend)
}

fn lines(args: &mut Args<'_>, edit: fn(Vec<String>) -> Edit) -> Option<State> {
    args.boolean("makedirs");
    let path = args.name_as_path();
    if args.node("text").is_none() {
        args.missing("text", "a line, or a list of lines");
    }
    let edit = edit(args.texts("text")?);
    Some(State::FileEdit(FileEdit { path: path?, edit, may_be_missing: true }))
}

fn replace(args: &mut Args<'_>) -> Option<State> {
    args.boolean("show_changes");
    let path = args.name_as_path();
    let (pattern, with) = (args.required_text("pattern"), args.required_text("repl"));
    let most = args.number("count").unwrap_or(0);
    let content = args.text("not_found_content").or_else(|| with.clone());
    let append = args.boolean("append_if_not_found").unwrap_or(false);
    let prepend = args.boolean("prepend_if_not_found").unwrap_or(false);
    let otherwise = match (append, prepend) {
        (true, _) => content.map(Otherwise::Append),
        (false, true) => content.map(Otherwise::Prepend),
        (false, false) => None,
    };
    let may_be_missing = args.boolean("ignore_if_missing").unwrap_or(false);
    // As Salt's own default: `^` and `$` are the ends of a line.
    let pattern = format!("(?m){}", pattern?);
    let edit = Edit::Replace { pattern, with: template(&with?), most, otherwise };
    if let Err(EditError::Pattern { source, .. }) = edit.edited("")
        && let Some(node) = args.node("pattern")
    {
        let message = source.to_string();
        let why = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let accepted = "a regular expression without backreferences and look-around";
        args.wrong(
            explain::SLS_BAD_VALUE,
            "pattern",
            node,
            &format!("this is not supported: {why}"),
            accepted,
        );
    }
    Some(State::FileEdit(FileEdit { path: path?, edit, may_be_missing }))
}

/// Python's `\1`, `\g<name>` and `\n` in the words of the `regex` crate, in which `$` is special instead.
fn template(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '$' => out.push_str("$$"),
            '\\' => rest = escape(rest, &mut out),
            other => out.push(other),
        }
    }
    out
}

/// What stands after a backslash; returns what is left.
fn escape<'t>(rest: &'t str, out: &mut String) -> &'t str {
    if let Some((name, left)) = rest.strip_prefix("g<").and_then(|named| named.split_once('>')) {
        out.push_str(&format!("${{{name}}}"));
        return left;
    }
    let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    if digits > 0 {
        out.push_str(&format!("${{{}}}", &rest[..digits]));
        return &rest[digits..];
    }
    let Some(letter) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    match letter {
        'n' => out.push('\n'),
        't' => out.push('\t'),
        '\\' => out.push('\\'),
        other => out.extend(['\\', other]),
    }
    &rest[letter.len_utf8()..]
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn groups_are_written_as_in_python() {
        for (python, ours) in [
            (r"a\1b", "a${1}b"),
            (r"\g<name>x\10", "${name}x${10}"),
            ("$1", "$$1"),
            (r"x\ny\\z\d\", "x\ny\\z\\d\\"),
            ("ä", "ä"),
        ] {
            assert_eq!(template(python), ours);
        }
    }
}
