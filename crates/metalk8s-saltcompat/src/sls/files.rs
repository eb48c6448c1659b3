//! Files and what they include.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::{Problem, explain};

use crate::{
    FileRoots,
    roots::is_inside,
    yaml::{self, Node, Value},
};

/// The largest SLS file that is read, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// How many templates of one file are pointed out.
const MAX_TEMPLATES: usize = 10;

/// A file that was read.
pub(super) struct SlsFile {
    /// Such as `web.nginx`.
    pub(super) name: String,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its ids with what they declare; without `include`.
    pub(super) declarations: Vec<(Node, Node)>,
}

/// Reads files and, before each, what it includes; each once.
pub(super) fn load(names: &[String], roots: &dyn FileRoots, problems: &mut Vec<Problem>) -> Vec<SlsFile> {
    let mut loader =
        Loader { roots, problems, seen: BTreeMap::new(), loading: Vec::new(), files: Vec::new() };
    for name in names {
        loader.load(name, None);
    }
    loader.files
}

struct Loader<'a> {
    roots: &'a dyn FileRoots,
    problems: &'a mut Vec<Problem>,
    /// Whether each file is read to its end.
    seen: BTreeMap<String, bool>,
    /// The files that include one another down to the one being read.
    loading: Vec<String>,
    files: Vec<SlsFile>,
}

impl Loader<'_> {
    /// `from` is the place that includes it.
    fn load(&mut self, name: &str, from: Option<(&Path, &Node)>) {
        let mut report = |problem: Problem| {
            self.problems.push(match from {
                Some((file, node)) => problem.at(file, node.line, node.column),
                None => problem,
            });
        };
        match self.seen.get(name) {
            Some(true) => return,
            Some(false) => {
                let start = self.loading.iter().position(|other| other == name).unwrap_or(0);
                let chain = [&self.loading[start..], &[name.to_owned()]].concat().join(" -> ");
                report(Problem::new(explain::SLS_CYCLE, format!("these files include one another: {chain}")));
                return;
            }
            None => {}
        }
        let base = name.replace('.', "/");
        let candidates = [format!("{base}.sls"), format!("{base}/init.sls")];
        let mut found = Ok(None);
        for candidate in candidates.iter().filter(|candidate| is_inside(candidate)) {
            found = self.roots.read(candidate, MAX_BYTES);
            if !matches!(found, Ok(None)) {
                break;
            }
        }
        let file = match found {
            Ok(Some(file)) => file,
            Ok(None) => {
                let problem =
                    Problem::new(explain::SLS_NOT_FOUND, format!("the file of `{name}` does not exist"))
                        .accepted(format!(
                            "`{}` or `{}` in {}",
                            candidates[0],
                            candidates[1],
                            self.roots.called()
                        ));
                return report(problem);
            }
            Err(err) => return report(unreadable(name, &err)),
        };
        let Ok(text) = std::str::from_utf8(&file.bytes) else {
            let problem = Problem::new(explain::SLS_NOT_YAML, "the file is not text (UTF-8)");
            return self.problems.push(problem.in_file(file.path));
        };
        self.seen.insert(name.to_owned(), false);
        self.loading.push(name.to_owned());
        if let Some(declarations) = self.parse(name, text, &file.path) {
            self.files.push(SlsFile { name: name.to_owned(), path: file.path, declarations });
        }
        self.loading.pop();
        self.seen.insert(name.to_owned(), true);
    }

    fn parse(&mut self, name: &str, text: &str, path: &Path) -> Option<Vec<(Node, Node)>> {
        let templates = templates(text, path);
        if !templates.is_empty() {
            self.problems.extend(templates);
            return None;
        }
        let root = match yaml::parse(text, path) {
            Ok(root) => root,
            Err(found) => {
                self.problems.extend(found);
                return None;
            }
        };
        let Value::Map(pairs) = root.value else {
            let problem = Problem::new(explain::SLS_BAD_STRUCTURE, "the file is not a map of ids");
            self.problems.push(problem.at(path, root.line, root.column));
            return None;
        };
        let mut declarations = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            match key.text() {
                Some("include") => self.include(name, &value, path),
                Some(word @ ("extend" | "exclude")) => {
                    let message = format!("`{word}` is not supported");
                    let problem = Problem::new(explain::SLS_BAD_STRUCTURE, message);
                    self.problems.push(problem.at(path, key.line, key.column));
                }
                _ => declarations.push((key, value)),
            }
        }
        Some(declarations)
    }

    fn include(&mut self, name: &str, list: &Node, path: &Path) {
        let mut report = |node: &Node| {
            let problem = Problem::new(explain::SLS_BAD_STRUCTURE, "`include` lists the names of SLS files")
                .found(node.shown())
                .accepted("a list such as `[web.nginx, .users]`");
            self.problems.push(problem.at(path, node.line, node.column));
        };
        let Value::List(items) = &list.value else { return report(list) };
        for item in items {
            match item.text() {
                Some(text) => {
                    let included = relative(name, text, path);
                    self.load(&included, Some((path, item)));
                }
                None => {
                    let problem =
                        Problem::new(explain::SLS_BAD_STRUCTURE, "`include` lists the names of SLS files")
                            .found(item.shown());
                    self.problems.push(problem.at(path, item.line, item.column));
                }
            }
        }
    }
}

/// `.users` in `web` means `web.users` where `web` is a folder's init.sls, and its neighbour otherwise; each
/// further dot goes one level up.
fn relative(name: &str, text: &str, path: &Path) -> String {
    let rest = text.trim_start_matches('.');
    let dots = text.len() - rest.len();
    if dots == 0 {
        return text.to_owned();
    }
    let mut parts: Vec<&str> = name.split('.').collect();
    let up = if path.ends_with("init.sls") { dots - 1 } else { dots };
    parts.truncate(parts.len().saturating_sub(up));
    parts.push(rest);
    parts.join(".")
}

fn unreadable(name: &str, err: &io::Error) -> Problem {
    if err.kind() == io::ErrorKind::FileTooLarge {
        let message = format!("the file of `{name}` has more than {} MiB", MAX_BYTES >> 20);
        return Problem::new(explain::SLS_TOO_LARGE, message);
    }
    Problem::new(explain::SLS_NOT_FOUND, format!("the file of `{name}` cannot be read: {err}"))
}

/// Where a file asks to be rendered; comments do not matter.
fn templates(text: &str, path: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(renderers) = text.strip_prefix("#!") {
        let renderers = renderers.lines().next().unwrap_or_default().trim();
        if !renderers.split('|').all(|renderer| matches!(renderer.trim(), "jinja" | "yaml")) {
            let message = format!("the renderer `{renderers}` is not supported");
            problems.push(Problem::new(explain::SLS_TEMPLATE, message).at(path, 1, 1));
        }
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    problems.extend(lines.filter_map(|(number, line)| {
        let at = ["{{", "{%"].iter().filter_map(|mark| line.find(mark)).min()?;
        let column = line[..at].chars().count() + 1;
        let problem = Problem::new(explain::SLS_TEMPLATE, "templates are not supported")
            .found(format!("`{}`", line[at..].chars().take(40).collect::<String>().trim_end()))
            .accepted("plain YAML");
        Some(problem.at(path, number + 1, column))
    }));
    problems.truncate(MAX_TEMPLATES);
    problems
}
