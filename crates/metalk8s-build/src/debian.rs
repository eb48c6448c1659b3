//! Debian packages, as files: fetched with the computer's own apt, checked by its keys and by our lock.
//!
//! apt works in a folder of its own below the cache and sees only the Debian entries of the computer's sources;
//! it never looks at, or touches, what is installed.

pub mod lock;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::digest::{is_sha256, sha256};

use crate::command::{self, Log};

/// The release that images stand on, and the family that packages are built for.
pub const RELEASE: &str = "bookworm";
const FRESH: Duration = Duration::from_secs(12 * 3600);

/// One package of the distribution, as the lock names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deb {
    /// Such as `libc6`.
    pub name: String,
    /// Such as `2.36-9+deb12u14`.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Of the file, 64 hexadecimal digits.
    pub sha256: String,
}

/// apt in a folder of its own. One at a time: opening waits for other tasks and builds.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
    _lock: File,
}

impl Apt {
    /// Prepares the folder below the cache and takes over the computer's Debian sources.
    pub fn open(cache: &Path) -> anyhow::Result<Self> {
        let folder = cache.join("apt");
        for part in ["lists/partial", "archives", "no-archives/partial", "sources.d", "etc"] {
            fs::create_dir_all(folder.join(part)).context("could not make the folder of apt")?;
        }
        let lock = File::create(folder.join("lock")).context("could not lock the folder of apt")?;
        lock.lock().context("could not lock the folder of apt")?;
        fs::write(folder.join("status"), "").context("could not write in the folder of apt")?;
        let sources = debian_sources(Path::new("/etc/apt"))?;
        if sources.is_empty() {
            bail!("the computer's apt sources name no Debian {RELEASE}; add one to `/etc/apt/sources.list`");
        }
        // A list without the extension is ignored; two files, because there are two syntaxes.
        fs::write(folder.join("sources.d/debian.list"), &sources.lines)?;
        fs::write(folder.join("sources.d/debian.sources"), &sources.stanzas)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Fetches the lists when they are older than half a day.
    pub fn update(&self, log: &Log) -> anyhow::Result<()> {
        let stamp = self.folder.join("updated");
        let age = fs::metadata(&stamp)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        log.run(self.apt("apt-get").arg("update")).context("could not fetch the lists of Debian packages")?;
        fs::write(stamp, "").context("could not write in the folder of apt")
    }

    /// These packages and all that they depend on, at the versions that the mirror has now; sorted.
    pub fn resolve(&self, names: &[String]) -> anyhow::Result<Vec<Deb>> {
        let text = command::text(
            self.apt("apt-get")
                .args(["install", "--yes", "--no-install-recommends", "--print-uris"])
                .args(names),
        )
        .with_context(|| format!("apt cannot resolve `{}`", names.join(" ")))?;
        let mut wanted = Vec::new();
        for line in text.lines().filter(|line| line.starts_with('\'')) {
            let file = line.split(' ').nth(1).unwrap_or_default();
            let [name, version, _] = file.split('_').collect::<Vec<_>>()[..] else {
                bail!("apt names a file that is no package: `{line}`");
            };
            wanted.push(format!("{name}={}", version.replace("%3a", ":")));
        }
        let mut debs = self.show(&wanted)?;
        debs.sort();
        Ok(debs)
    }

    /// Fetches one package into the archives, checked by apt against the signed lists, and gives its path.
    /// `None` when the mirror no longer has this version.
    pub fn fetch(&self, deb: &Deb, log: &Log) -> anyhow::Result<Option<PathBuf>> {
        let path = self.folder.join("archives").join(deb.file_name());
        if !path.exists() {
            self.prefetch(std::slice::from_ref(deb), log)?;
        }
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        let found = sha256(&bytes);
        if found != deb.sha256 {
            fs::remove_file(&path).context("could not remove a package that is not the locked one")?;
            bail!("`{}` has sha256 {found}, wanted is {}", deb.file_name(), deb.sha256);
        }
        Ok(Some(path))
    }

    /// Fetches all of these that the mirror has and the archives have not, in one go: apt takes a second to start.
    pub fn prefetch(&self, debs: &[Deb], log: &Log) -> anyhow::Result<()> {
        let archives = self.folder.join("archives");
        let missing: Vec<&Deb> = debs.iter().filter(|deb| !archives.join(deb.file_name()).exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let word = |deb: &&Deb| format!("{}={}", deb.name, deb.version);
        let mut wanted: Vec<String> = missing.iter().map(word).collect();
        if self.show(&wanted).is_err() {
            // Something is gone from the mirror: find out what.
            wanted.retain(|word| self.show(std::slice::from_ref(word)).is_ok());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut command = self.apt("apt-get");
        command.current_dir(archives).arg("download").args(&wanted);
        log.run(&mut command).context("could not fetch packages from the mirror")
    }

    /// All of these are in the archives.
    fn has(&self, debs: &[Deb]) -> bool {
        debs.iter().all(|deb| self.folder.join("archives").join(deb.file_name()).exists())
    }

    /// The index of everything that the mirror has: one paragraph of fields per package.
    pub fn index(&self) -> anyhow::Result<String> {
        command::text(self.apt("apt-cache").arg("dumpavail"))
    }

    /// What the lists say of packages given as `name=version`.
    fn show(&self, wanted: &[String]) -> anyhow::Result<Vec<Deb>> {
        let text = command::text(self.apt("apt-cache").args(["show", "--no-all-versions"]).args(wanted))?;
        let debs: Vec<Deb> = text.split("\n\n").map(stanza).collect::<anyhow::Result<_>>()?;
        match wanted.len() == debs.len() {
            true => Ok(debs),
            false => bail!("apt describes {} of {} packages", debs.len(), wanted.len()),
        }
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut option = |key: &str, value: &Path| {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        };
        option("Dir::State", &self.folder);
        option("Dir::State::status", &self.folder.join("status"));
        option("Dir::State::lists", &self.folder.join("lists"));
        option("Dir::Cache", &self.folder);
        // apt says nothing of packages that it finds there.
        option("Dir::Cache::archives", &self.folder.join("no-archives"));
        option("Dir::Etc", &self.folder.join("etc"));
        option("Dir::Etc::SourceList", Path::new("/dev/null"));
        option("Dir::Etc::SourceParts", &self.folder.join("sources.d"));
        option("Dir::Etc::TrustedParts", Path::new("/etc/apt/trusted.gpg.d"));
        option("Dir::Etc::Trusted", Path::new("/etc/apt/trusted.gpg"));
        option("APT::Architecture", Path::new("amd64"));
        option("APT::Architectures", Path::new("amd64"));
        option("APT::Sandbox::User", Path::new("root"));
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

impl Deb {
    /// The name of its file, as apt writes it.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }

    /// One line of a lock.
    pub fn to_line(&self) -> String {
        format!("{} {} {} {}", self.name, self.version, self.architecture, self.sha256)
    }

    /// Reads a line of a lock.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        let [name, version, architecture, sha256] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("the lock's line `{line}` is not name, version, architecture and sha256");
        };
        if !is_sha256(sha256) {
            bail!("the lock's line `{line}` has no digest");
        }
        let [name, version, architecture, sha256] = [name, version, architecture, sha256].map(str::to_owned);
        Ok(Self { name, version, architecture, sha256 })
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sources {
    lines: String,
    stanzas: String,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.stanzas.is_empty()
    }
}

fn stanza(text: &str) -> anyhow::Result<Deb> {
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.map(str::to_owned).with_context(|| format!("apt tells no `{key}` of a package"))
    };
    let deb = Deb {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        sha256: field("SHA256")?,
    };
    match is_sha256(&deb.sha256) {
        true => Ok(deb),
        false => bail!("apt tells no usable digest of `{}`", deb.name),
    }
}

/// The entries for our release, from both syntaxes of apt's sources.
fn debian_sources(etc: &Path) -> anyhow::Result<Sources> {
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files.sort();
    let mut sources = Sources::default();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.lines.push_str(&debian_lines(&text)),
            Some("sources") => sources.stanzas.push_str(&debian_stanzas(&text)),
            _ => {}
        }
    }
    Ok(sources)
}

fn is_ours(suite: &str) -> bool {
    suite == RELEASE || suite.strip_prefix(RELEASE).is_some_and(|rest| rest.starts_with(['-', '/']))
}

fn debian_lines(text: &str) -> String {
    let ours = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.contains("://"));
        words.first() == Some(&"deb")
            && at.and_then(|at| words.get(at + 1)).is_some_and(|suite| is_ours(suite))
    };
    text.lines().filter(ours).map(|line| format!("{line}\n")).collect()
}

fn debian_stanzas(text: &str) -> String {
    let mut kept = String::new();
    for stanza in text.split("\n\n") {
        let suites = stanza.lines().find_map(|line| line.strip_prefix("Suites:")).unwrap_or_default();
        if !suites.trim().is_empty() && suites.split_whitespace().all(is_ours) {
            kept.push_str(stanza.trim());
            kept.push_str("\n\n");
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_of_the_release_are_taken_over() {
        let lines = "deb http://m/debian bookworm main\n# deb http://m/debian bookworm main\n\
                     deb [signed-by=/k] http://m/debian bookworm-updates main\n\
                     deb http://other cloud-sdk-bookworm main\ndeb-src http://m/debian bookworm main\n";
        assert_eq!(debian_lines(lines).lines().count(), 2);
        let stanzas = "Types: deb\nURIs: http://m\nSuites: bookworm bookworm-updates\n\n\
                       Types: deb\nURIs: http://n\nSuites: nodistro\n";
        assert_eq!(debian_stanzas(stanzas).matches("Types:").count(), 1);
    }

    #[test]
    fn a_lock_line_is_read_as_it_was_written() {
        let deb = Deb {
            name: "dash".into(),
            version: "1:0.5-2".into(),
            architecture: "amd64".into(),
            sha256: "a".repeat(64),
        };
        assert_eq!(Deb::parse(&deb.to_line()).unwrap(), deb);
        assert_eq!(deb.file_name(), "dash_1%3a0.5-2_amd64.deb");
        assert!(Deb::parse("dash 1 amd64 x").is_err());
    }
}
