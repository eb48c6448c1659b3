//! Locks: which versions of Debian's packages a build takes, until somebody takes newer ones.
//!
//! ```text
//! [base] bash ca-certificates           a section, and the packages that it was resolved for
//! bash 5.2.15-2+b13 amd64 <sha256>      a line for each package: name, version, architecture, digest
//! ```

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Apt, Deb};
use crate::command::Log;

/// The task that writes all locks anew.
pub const TASK: &str = "_debian_lock";

/// A lock, as its file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    sections: BTreeMap<String, Section>,
}

/// What was resolved together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Names that were asked for.
    pub asked: Vec<String>,
    /// These and what they need, sorted.
    pub debs: Vec<Deb>,
}

/// Packages as files.
#[derive(Debug)]
pub struct Taken {
    /// Each with where it lies.
    pub debs: Vec<(Deb, PathBuf)>,
    /// Set when the mirror no longer has what is locked, so that newer packages were taken.
    pub warning: Option<String>,
}

impl Lock {
    /// Reads a lock. A file that is missing is an empty one.
    ///
    /// # Errors
    ///
    /// Lines that are of no known form.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("`{}` is not valid", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("could not read `{}`", path.display())),
        }
    }

    /// Takes over a section.
    pub fn insert(&mut self, name: &str, section: Section) {
        self.sections.insert(name.to_owned(), section);
    }

    /// The packages of a section.
    ///
    /// # Errors
    ///
    /// The section is missing, or was resolved for other packages than `asked`.
    pub fn section(&self, name: &str, asked: &[String]) -> Result<&Section> {
        let section = self.sections.get(name);
        section.filter(|section| section.asked == asked).with_context(|| {
            let state = if section.is_some() { "was made for other packages than" } else { "lacks" };
            format!(
                "the lock of Debian packages {state} `[{name}] {}`: run `./doit.sh {TASK}`",
                asked.join(" ")
            )
        })
    }

    /// Names of the packages of a section; none when there is no such section.
    pub fn names(&self, section: &str) -> Vec<String> {
        let debs = self.sections.get(section).map(|section| section.debs.as_slice());
        debs.unwrap_or_default().iter().map(|deb| deb.name.clone()).collect()
    }

    /// Writes the lock.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_string()).with_context(|| format!("could not write `{}`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lock = Self::default();
        let mut current: Option<&mut Section> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((name, asked)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
                ensure!(!lock.sections.contains_key(name), "it has `[{name}]` twice");
                let section = lock.sections.entry(name.to_owned()).or_default();
                section.asked = asked.split_whitespace().map(str::to_owned).collect();
                current = Some(section);
            } else if let Some(section) = &mut current {
                section.debs.push(Deb::parse(line)?);
            } else {
                bail!("it begins without a `[section]`");
            }
        }
        Ok(lock)
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "# Written by `./doit.sh {TASK}`: [what for] asked for; name, version, architecture, sha256."
        )?;
        for (name, section) in &self.sections {
            writeln!(f, "\n[{name}] {}", section.asked.join(" "))?;
            for deb in &section.debs {
                writeln!(f, "{}", deb.to_line())?;
            }
        }
        Ok(())
    }
}

/// Fetches the packages of a section; asks no mirror when they are all in the cache.
///
/// Mirrors keep one version. When a locked one is gone, `current` is asked for what there is now: going on is
/// better than no build at all, but it must be seen.
///
/// # Errors
///
/// A package that is not the locked one, and a mirror that cannot be reached.
pub fn take(
    apt: &Apt,
    section: &Section,
    current: impl FnOnce(&Apt) -> Result<Vec<Deb>>,
    log: &Log,
) -> Result<Taken> {
    if !apt.has(&section.debs) {
        apt.update(log)?;
    }
    let (debs, gone) = fetch(apt, &section.debs, log)?;
    if gone.is_empty() {
        return Ok(Taken { debs, warning: None });
    }
    apt.update(log)?;
    let (debs, lacking) = fetch(apt, &current(apt)?, log)?;
    if let Some(deb) = lacking.first() {
        bail!("the mirror lists `{}` and does not have it", deb.file_name());
    }
    let names: Vec<&str> = gone.iter().map(|deb| deb.name.as_str()).collect();
    let warning = format!(
        "the mirror no longer has the locked versions of {}: it took newer ones, which `./doit.sh {TASK}` pins",
        names.join(", ")
    );
    Ok(Taken { debs, warning: Some(warning) })
}

type Fetched = (Vec<(Deb, PathBuf)>, Vec<Deb>);

/// What there is, and what the mirror does not have.
fn fetch(apt: &Apt, debs: &[Deb], log: &Log) -> Result<Fetched> {
    apt.prefetch(debs, log)?;
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for deb in debs {
        match apt.fetch(deb, log)? {
            Some(path) => there.push((deb.clone(), path)),
            None => gone.push(deb.clone()),
        }
    }
    Ok((there, gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let deb = Deb::parse(&format!("dash 1:0.5-2 amd64 {}", "a".repeat(64))).unwrap();
        let mut lock = Lock::default();
        lock.insert("base", Section { asked: vec!["dash".into(), "sed".into()], debs: vec![deb] });
        lock.insert("none", Section::default());
        lock
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        assert_eq!(Lock::parse(&lock().to_string()).unwrap(), lock());
    }

    #[test]
    fn a_section_is_only_for_what_it_was_resolved_for() {
        let asked = ["dash".to_owned(), "sed".to_owned()];
        assert_eq!(lock().section("base", &asked).unwrap().debs.len(), 1);
        let refusal = |name: &str, asked: &[String]| lock().section(name, asked).unwrap_err().to_string();
        assert!(refusal("base", &asked[..1]).contains("was made for other packages than `[base] dash`"));
        assert!(refusal("net", &asked).contains("lacks `[net] dash sed`: run `./doit.sh _debian_lock`"));
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let refusal = |text: &str| Lock::parse(text).unwrap_err().to_string();
        assert_eq!(refusal("dash 1 amd64 x"), "it begins without a `[section]`");
        assert_eq!(refusal("[base]\n[base]\n"), "it has `[base]` twice");
        assert!(refusal("[base]\ndash 1 amd64 x").contains("has no digest"));
    }
}
