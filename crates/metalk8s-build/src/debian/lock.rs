//! Locks: which versions of Debian's packages a build takes, until somebody takes newer ones.
//!
//! ```text
//! [base] bash ca-certificates           a section, and the packages that it was resolved for
//! bash 5.2.15-2+b13 amd64 <sha256>      a line for each package: name, version, architecture, digest
//! ```

use std::{collections::BTreeMap, env, fs, path::Path, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Apt, Deb};
use crate::{command::Log, settings::Settings};

/// The task that writes all locks anew.
pub const TASK: &str = "_debian_lock";
/// The setting that lets a build fail where the mirror no longer has a locked package.
const LOCKED_ONLY: &str = "DEBIAN_LOCKED_ONLY";

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

/// What a build does where the mirror no longer has a locked package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenGone {
    /// It takes what there is now, and says so.
    #[default]
    TakeNewer,
    /// It fails.
    Fail,
}

impl WhenGone {
    /// As the environment, or else `.env`, says with `DEBIAN_LOCKED_ONLY`.
    ///
    /// # Errors
    ///
    /// The setting is neither 0 nor 1.
    pub fn wanted(settings: &Settings) -> Result<Self> {
        Self::parse(env::var(LOCKED_ONLY).ok(), settings)
    }

    fn parse(environment: Option<String>, settings: &Settings) -> Result<Self> {
        let value = environment.unwrap_or_else(|| settings.get(LOCKED_ONLY, "0").to_owned());
        match value.as_str() {
            "" | "0" => Ok(Self::TakeNewer),
            "1" => Ok(Self::Fail),
            _ => bail!("{LOCKED_ONLY} is `{value}`, which is neither 0 nor 1"),
        }
    }

    /// What a result depends on by it: one that was made of newer packages is not what somebody wants who forbids
    /// these.
    pub fn fact(self) -> Option<String> {
        (self == Self::Fail).then(|| LOCKED_ONLY.to_owned())
    }

    /// What is to be said of packages that are gone, of which there are some.
    fn judge(self, gone: &[Deb]) -> Result<String> {
        let names: Vec<&str> = gone.iter().map(|deb| deb.name.as_str()).collect();
        let gone = format!("the mirror no longer has the locked versions of {}", names.join(", "));
        match self {
            Self::TakeNewer => Ok(format!("{gone}: it took newer ones, which `./doit.sh {TASK}` pins")),
            Self::Fail => {
                bail!(
                    "{gone}, and {LOCKED_ONLY} forbids newer ones; `./doit.sh {TASK}` pins what there is now"
                )
            }
        }
    }
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
/// better than no build at all, but it must be seen. Unless `when_gone` forbids it.
///
/// # Errors
///
/// A package that is not the locked one, or is gone and may not be another one, and a mirror that cannot be reached.
pub fn take(
    apt: &Apt,
    section: &Section,
    current: impl FnOnce(&Apt) -> Result<Vec<Deb>>,
    when_gone: WhenGone,
    log: &Log,
) -> Result<Taken> {
    if !apt.has(&section.debs) {
        apt.update(log)?;
    }
    let (debs, gone) = fetch(apt, &section.debs, log)?;
    if gone.is_empty() {
        return Ok(Taken { debs, warning: None });
    }
    let warning = when_gone.judge(&gone)?;
    apt.update(log)?;
    let (debs, lacking) = fetch(apt, &current(apt)?, log)?;
    if let Some(deb) = lacking.first() {
        bail!("the mirror lists `{}` and does not have it", deb.file_name());
    }
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
    fn the_environment_says_before_the_file_does_whether_newer_packages_are_taken() {
        let file = Settings::parse("export DEBIAN_LOCKED_ONLY=1").unwrap();
        let wanted = |environment: Option<&str>, settings: &Settings| {
            WhenGone::parse(environment.map(str::to_owned), settings)
        };
        assert_eq!(wanted(None, &Settings::default()).unwrap(), WhenGone::TakeNewer);
        assert_eq!(wanted(None, &file).unwrap(), WhenGone::Fail);
        assert_eq!(wanted(Some("0"), &file).unwrap(), WhenGone::TakeNewer);
        assert_eq!(wanted(Some(""), &file).unwrap(), WhenGone::TakeNewer);
        assert_eq!(
            wanted(Some("yes"), &file).unwrap_err().to_string(),
            "DEBIAN_LOCKED_ONLY is `yes`, which is neither 0 nor 1"
        );
    }

    #[test]
    fn a_package_that_is_gone_is_named_and_may_stop_the_build() {
        let gone = lock().sections["base"].debs.clone();
        let told = WhenGone::TakeNewer.judge(&gone).unwrap();
        assert!(told.contains("versions of dash: it took newer ones"), "{told}");
        let refusal = WhenGone::Fail.judge(&gone).unwrap_err().to_string();
        assert!(refusal.contains("versions of dash, and DEBIAN_LOCKED_ONLY forbids newer ones"), "{refusal}");
        assert_ne!(WhenGone::Fail.fact(), WhenGone::TakeNewer.fact());
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let refusal = |text: &str| Lock::parse(text).unwrap_err().to_string();
        assert_eq!(refusal("dash 1 amd64 x"), "it begins without a `[section]`");
        assert_eq!(refusal("[base]\n[base]\n"), "it has `[base]` twice");
        assert!(refusal("[base]\ndash 1 amd64 x").contains("has no digest"));
    }
}
