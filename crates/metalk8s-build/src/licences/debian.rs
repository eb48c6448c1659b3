//! Licences of Debian packages, from the file `copyright` that each has to carry.
//!
//! The machine-readable form (DEP-5) names licences by short names, most of which SPDX has too. A file in prose, and
//! a name that SPDX does not have, is quoted as a `LicenseRef`.

use std::{collections::BTreeMap, fs, io::Read, path::Path, process::Command};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    command,
    layers::{LayerSpec, debian_task_name},
    task::{Outcome, Step, Task},
};

mod dep5;

pub use dep5::{Declared, declared};

/// Name of the task that reads the packages of all layers.
pub const TASK: &str = "_licences:debian";
const RECIPE: &str = include_str!("debian.rs");
const RESULT: &str = "copyrights.json";
const FOLDER: &str = "usr/share/doc/";

/// What packages state, by name and version.
#[derive(Debug, Default)]
pub struct Statements(BTreeMap<(String, String), Statement>);

/// What one package states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Statement {
    Text(String),
    /// The same as this package.
    SameAs(String),
}

pub(super) fn task(shared: &BTreeMap<String, LayerSpec>) -> Task {
    let layers = shared.iter().filter(|(_, spec)| !spec.packages.is_empty());
    let needed: Vec<String> = layers.map(|(name, _)| debian_task_name(name)).collect();
    let task = Task::stored(TASK, "read the licences of the Debian packages in layers", build);
    Task { tasks: needed, facts: vec![RECIPE.to_owned()], guess: 20, ..task }
}

fn build(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let mut statements = Statements::default();
    for folder in step.inputs.values() {
        for entry in fs::read_dir(folder).context("could not list the packages of a layer")? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let [package, version, _] = name.split('_').collect::<Vec<_>>()[..] {
                statements.read(package, &version.replace("%3a", ":"), &path)?;
            }
        }
    }
    let rows: Vec<_> = statements.0.into_iter().collect();
    fs::write(step.out.join(RESULT), serde_json::to_vec_pretty(&rows)?)
        .context("could not write the licences of packages")?;
    Ok(Outcome::Done)
}

impl Statements {
    /// Those that the task found.
    pub fn of_layers(folder: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(folder.join(RESULT)).context("the layers have no licences of packages")?;
        let rows: Vec<_> =
            serde_json::from_slice(&bytes).context("the licences of packages are not readable")?;
        Ok(Self(rows.into_iter().collect()))
    }

    /// Adds what the package in the file `deb` states, unless that is known.
    pub fn read(&mut self, package: &str, version: &str, deb: &Path) -> anyhow::Result<()> {
        let key = (package.to_owned(), version.to_owned());
        if self.0.contains_key(&key) {
            return Ok(());
        }
        let failed = || format!("could not read `{}`", deb.display());
        let tar = command::output(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb))?;
        if let Some(statement) = statement(package, &tar).with_context(failed)? {
            self.0.insert(key, statement);
        }
        Ok(())
    }

    /// The text that states the licence of a package; it may be that of another one from the same source.
    pub fn text(&self, package: &str, version: &str) -> Option<&str> {
        let mut package = package;
        for _ in 0..4 {
            let same = self.0.get(&(package.to_owned(), version.to_owned()));
            let statement = same.or_else(|| {
                let first = (package.to_owned(), String::new());
                let (key, statement) = self.0.range(first..).next()?;
                (key.0 == package).then_some(statement)
            });
            match statement? {
                Statement::Text(text) => return Some(text),
                Statement::SameAs(other) => package = other,
            }
        }
        None
    }
}

/// Finds `usr/share/doc/<package>/copyright`, or where its link leads.
fn statement(package: &str, tar: &[u8]) -> anyhow::Result<Option<Statement>> {
    let mut found = None;
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
        let Some(rest) = path.strip_prefix(FOLDER).and_then(|path| path.strip_prefix(package)) else {
            continue;
        };
        let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
        match (rest, target) {
            ("", Some(target)) => found = target.rsplit('/').next().map(str::to_owned).map(Statement::SameAs),
            ("/copyright", Some(target)) => {
                found = target.rsplit('/').nth(1).map(str::to_owned).map(Statement::SameAs);
            }
            ("/copyright", None) => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                found = Some(Statement::Text(String::from_utf8_lossy(&bytes).into_owned()));
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(path: &str, content: Result<&str, &str>) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match content {
            Ok(text) => {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Err(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, target).unwrap();
            }
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn the_statement_of_a_package_is_its_own_or_where_a_link_leads() {
        let read = |package: &str, path: &str, content| statement(package, &tar(path, content)).unwrap();
        let text = Some(Statement::Text("terms".to_owned()));
        let same = Some(Statement::SameAs("gcc-12-base".to_owned()));
        assert_eq!(read("a", "./usr/share/doc/a/copyright", Ok("terms")), text);
        assert_eq!(read("a", "./usr/share/doc/ab/copyright", Ok("terms")), None);
        assert_eq!(read("libgcc-s1", "./usr/share/doc/libgcc-s1", Err("gcc-12-base")), same);
        assert_eq!(read("a", "./usr/share/doc/a/copyright", Err("../gcc-12-base/copyright")), same);
    }

    #[test]
    fn a_link_is_followed_to_the_package_of_another_version_too() {
        let row = |name: &str, version: &str, statement| ((name.to_owned(), version.to_owned()), statement);
        let statements = Statements(BTreeMap::from([
            row("a", "1:2", Statement::SameAs("base".to_owned())),
            row("base", "2", Statement::Text("terms".to_owned())),
            row("loop", "1", Statement::SameAs("loop".to_owned())),
        ]));
        assert_eq!(statements.text("a", "1:2"), Some("terms"));
        assert_eq!(statements.text("bas", "2"), None);
        assert_eq!(statements.text("loop", "1"), None);
    }
}
