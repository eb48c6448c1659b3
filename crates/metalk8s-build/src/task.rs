//! A task: what it is made from, and how.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use metalk8s_artifacts::digest::sha256;
use walkdir::WalkDir;

use crate::{command::Log, context::Context};

/// Does the work of a task.
pub type Action = Box<dyn Fn(&Step<'_>) -> anyhow::Result<Outcome> + Send + Sync>;

/// One task of the build chain. Subtasks are named `task:subtask`, hidden ones begin with `_`.
pub struct Task {
    /// Its name.
    pub name: String,
    /// One line for `list`.
    pub about: String,
    /// Files and folders it reads (`file_dep`).
    pub files: Vec<PathBuf>,
    /// Tasks whose results it reads, or that belong to it (`task_dep`).
    pub tasks: Vec<String>,
    /// Everything else that its result depends on: versions, arguments, the recipe itself.
    pub facts: Vec<String>,
    /// Seconds that it takes the first time, on two cores, for the estimate.
    pub guess: u64,
    /// What it does.
    pub kind: Kind,
}

/// What a task does.
pub enum Kind {
    /// Nothing by itself.
    Group,
    /// Fills a folder of the store.
    Stored(Action),
    /// Writes these targets below the build root.
    Placed(Vec<PathBuf>, Action),
    /// Runs each time; gives no result to others.
    Always(Action),
}

/// How an action ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Done,
    /// There was nothing that it could do, for this reason.
    Ignored(String),
    /// With a result, and something that people must see.
    Warned(String),
}

/// What an action may use.
pub struct Step<'a> {
    /// The surroundings.
    pub ctx: &'a Context,
    /// The folder to fill; for placed tasks the build root.
    pub out: &'a Path,
    /// Where outside programs write.
    pub log: &'a Log,
    /// Results of the tasks named in [`Task::tasks`], by name.
    pub inputs: &'a BTreeMap<String, PathBuf>,
}

impl Step<'_> {
    /// The result of the task `name`, which must be one of [`Task::tasks`] and not a group.
    pub fn input(&self, name: &str) -> anyhow::Result<&Path> {
        self.inputs
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("the task `{name}` has no result"))
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Task {
    /// A task that fills a folder of the store.
    pub fn stored(
        name: impl Into<String>,
        about: impl Into<String>,
        action: impl Fn(&Step<'_>) -> anyhow::Result<Outcome> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, about, Kind::Stored(Box::new(action)))
    }

    /// A task that only collects others.
    pub fn group(name: impl Into<String>, about: impl Into<String>, tasks: Vec<String>) -> Self {
        Self { tasks, ..Self::new(name, about, Kind::Group) }
    }

    /// A task of this kind with nothing it depends on yet.
    pub fn new(name: impl Into<String>, about: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            files: Vec::new(),
            tasks: Vec::new(),
            facts: Vec::new(),
            guess: 1,
            kind,
        }
    }

    /// Whether `list` shows it without `--private`.
    pub fn is_public(&self) -> bool {
        !self.name.starts_with('_')
    }

    /// Whether it is a part of another task.
    pub fn is_subtask(&self) -> bool {
        self.name.contains(':')
    }

    /// The digest of all that the result depends on. `keys` holds the keys of [`Task::tasks`].
    pub fn key(&self, root: &Path, keys: &BTreeMap<String, String>) -> anyhow::Result<String> {
        let mut text = format!("metalk8s 1\n{}\n", self.name);
        for fact in &self.facts {
            text.push_str(&format!("fact {}\n", sha256(fact.as_bytes())));
        }
        for path in &self.files {
            for (name, digest) in digests(root, path)? {
                text.push_str(&format!("file {name} {digest}\n"));
            }
        }
        for task in &self.tasks {
            let key = keys.get(task).with_context(|| format!("there is no task `{task}`"))?;
            text.push_str(&format!("task {task} {key}\n"));
        }
        Ok(sha256(text.as_bytes()))
    }
}

/// Path relative to `root` and digest of a file, or of all files below a folder; permissions count too.
fn digests(root: &Path, path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    use std::os::unix::fs::PermissionsExt;
    let mut files = Vec::new();
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry.with_context(|| format!("could not read `{}`", path.display()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes =
            fs::read(entry.path()).with_context(|| format!("could not read `{}`", entry.path().display()))?;
        let executable = entry.metadata()?.permissions().mode() & 0o100;
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
        files.push((format!("{} {executable:o}", name.display()), sha256(&bytes)));
    }
    Ok(files)
}
