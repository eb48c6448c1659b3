//! `file`: files, directories and links.

use metalk8s_diagnostics::{Problem, explain};
use metalk8s_engine::{
    State,
    state::{Absent, Contents, Directory, File, Symlink},
};

use super::Function;
use crate::{
    args::Args,
    roots::is_inside,
    yaml::{Node, Value},
};

/// The largest source that is put into a file, in bytes.
const MAX_SOURCE: usize = 16 << 20;

/// `makedirs` is accepted and needs nothing: missing parents are always made.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "file",
        name: "managed",
        does: "writes a file with contents, or as a copy of a source",
        arguments: &[
            "contents",
            "contents_newline",
            "source",
            "mode",
            "user",
            "group",
            "makedirs",
            "check_cmd",
        ],
        build: managed,
    },
    Function {
        module: "file",
        name: "directory",
        does: "makes a directory",
        arguments: &["mode", "dir_mode", "user", "group", "makedirs"],
        build: directory,
    },
    Function {
        module: "file",
        name: "symlink",
        does: "makes a symbolic link",
        arguments: &["target", "force", "makedirs"],
        build: symlink,
    },
    Function {
        module: "file",
        name: "absent",
        does: "removes a file, a link or a whole directory",
        arguments: &[],
        build: absent,
    },
];

fn managed(args: &mut Args<'_>) -> Option<State> {
    args.boolean("makedirs");
    let path = args.name_as_path();
    let contents = contents(args);
    let mode = args.mode("mode");
    let (user, group) = (args.text("user"), args.text("group"));
    // `$0` is the new file, whatever its path holds.
    let validate = args.text("check_cmd").map(|command| {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{command} \"$0\""), "{}".to_owned()]
    });
    Some(State::File(File { path: path?, contents: contents?, mode, user, group, validate }))
}

fn contents(args: &mut Args<'_>) -> Option<Contents> {
    let newline = args.boolean("contents_newline").unwrap_or(true);
    match (args.node("contents"), args.node("source")) {
        (Some(node), None) => match &node.value {
            Value::Map(_) => {
                args.wrong(
                    explain::SLS_BAD_VALUE,
                    "contents",
                    node,
                    "this is no text",
                    "text, or a list of lines",
                );
                None
            }
            Value::Scalar { .. } | Value::List(_) => {
                let mut text = args.texts("contents")?.join("\n");
                if newline && !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                Some(Contents::Text(text))
            }
        },
        (None, Some(node)) => source(args, node),
        (Some(node), Some(_)) => {
            let message = "`contents` and `source` exclude each other";
            args.wrong(explain::SLS_BAD_VALUE, "contents", node, message, "one of them");
            None
        }
        (None, None) => {
            args.missing("contents", "`contents`, or `source`");
            None
        }
    }
}

/// `salt://` from the file roots, a path of the host itself; of several, the first that is there.
fn source(args: &mut Args<'_>, node: &Node) -> Option<Contents> {
    let sources = args.texts("source")?;
    for source in &sources {
        if let Some(path) = source.strip_prefix("salt://") {
            // Before it is read: the roots trust the path.
            if !is_inside(path) {
                let message = "the path leaves the file roots";
                args.wrong(explain::SLS_BAD_VALUE, "source", node, message, "a path without `..`");
                return None;
            }
            match args.roots.read(path, MAX_SOURCE) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    // What is no text is copied as it is.
                    let contents =
                        String::from_utf8(found.bytes).map_or(Contents::CopyOf(found.path), Contents::Text);
                    return Some(contents);
                }
                Err(err) => {
                    let message = format!("`{source}` cannot be read: {err}");
                    args.wrong(
                        explain::SLS_SOURCE_NOT_FOUND,
                        "source",
                        node,
                        &message,
                        "a file of at most 16 MiB",
                    );
                    return None;
                }
            }
        } else if let Some(path) =
            Some(source.strip_prefix("file://").unwrap_or(source)).filter(|path| path.starts_with('/'))
        {
            return Some(Contents::CopyOf(path.into()));
        } else {
            let accepted = "`salt://path`, or an absolute path of this host";
            args.wrong(explain::SLS_BAD_VALUE, "source", node, "this source is not supported", accepted);
            return None;
        }
    }
    args.wrong(
        explain::SLS_SOURCE_NOT_FOUND,
        "source",
        node,
        "the source does not exist",
        "a path below the file roots",
    );
    None
}

fn directory(args: &mut Args<'_>) -> Option<State> {
    args.boolean("makedirs");
    let path = args.name_as_path();
    let mode = args.mode("mode").or_else(|| args.mode("dir_mode"));
    let (user, group) = (args.text("user"), args.text("group"));
    Some(State::Directory(Directory { path: path?, mode, user, group }))
}

/// `force` is accepted and needs nothing: what stands in the way of the link is replaced.
fn symlink(args: &mut Args<'_>) -> Option<State> {
    args.boolean("makedirs");
    args.boolean("force");
    let path = args.name_as_path();
    let target = args.required_text("target");
    Some(State::Symlink(Symlink { path: path?, target: target?.into() }))
}

fn absent(args: &mut Args<'_>) -> Option<State> {
    let path = args.name_as_path()?;
    if path.parent().is_none() {
        let problem = Problem::new(explain::SLS_BAD_VALUE, "the root of the file system is never removed");
        args.problems.push(args.chunk.at_declaration(problem));
        return None;
    }
    Some(State::Absent(Absent { path }))
}
