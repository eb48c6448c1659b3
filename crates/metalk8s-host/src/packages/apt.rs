//! Packages of Debian and Ubuntu: dpkg and apt.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use metalk8s_engine::{StateError, state::Packages};
use sha2::{Digest, Sha256};

use super::{Installed, Turn, Wanted, checked_names, decide, has_entries, transaction};
use crate::{
    Host,
    doing::Doing,
    files::{draft::replace, make_directories, owner::Numbers},
    program::Program,
    repository::{APT_SOURCES, checked_name},
};

const QUERY: &str = "--showformat=${Package}\t${db:Status-Abbrev}\t${Version}\n";
/// Journal of a dpkg that was interrupted.
const UPDATES: &str = "/var/lib/dpkg/updates";
/// Lists of the repositories that a wish is restricted to, apart from the host's own: reading only ours
/// would make apt forget the others.
const OWN_STATE: &str = "/var/lib/metalk8s/apt";
/// Where apt keeps what it has downloaded.
const DOWNLOADS: &str = "/var/cache/apt/archives";

/// Which repositories apt reads.
struct Sources {
    options: Vec<String>,
    /// The file that says which sources the lists were read from, and what it must say.
    stamp: Option<(PathBuf, String)>,
}

pub(super) async fn installed(host: &Host) -> Result<BTreeMap<String, Installed>, StateError> {
    Ok(parse_installed(&query(host).await?))
}

/// Names of all packages of which something is there; with `configuration`, also where that is nothing else.
pub(super) async fn present(host: &Host, configuration: bool) -> Result<BTreeSet<String>, StateError> {
    let text = query(host).await?;
    let names = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        // `n` is not installed, `c` has its configuration left.
        let left = match rest.chars().nth(1)? {
            'n' => false,
            'c' => configuration,
            _ => true,
        };
        left.then(|| name.to_owned())
    });
    Ok(names.collect())
}

async fn query(host: &Host) -> Result<String, StateError> {
    let program = host.program("dpkg-query").args(["--show", QUERY]);
    let output = program.run().await.doing(|| "could not ask which packages are installed".to_owned())?;
    Ok(output.stdout)
}

/// Removes packages that are there, and what depends on them.
pub(super) async fn remove(
    host: &Host,
    names: &[String],
    purge: bool,
    unneeded: bool,
    turn: &Turn,
) -> Result<(), StateError> {
    let sources = Sources { options: Vec::new(), stamp: None };
    let verb = if purge { "purge" } else { "remove" };
    let options = ["--yes", "--allow-change-held-packages"];
    let doing = || format!("could not remove {}", names.join(" "));
    let mut all = names.to_vec();
    if unneeded {
        // What nobody needed before is not our business.
        let simulate = async |words: &[&str], names: &[String]| {
            let program =
                apt(host, "apt-get", &sources).arg("--simulate").args(words).args(options).args(names);
            Ok::<_, StateError>(removed(&program.run().await.doing(doing)?.stdout))
        };
        let before = simulate(&["autoremove"], &[]).await?;
        let with_these = simulate(&[verb, "--auto-remove"], names).await?;
        all.extend(with_these.difference(&before).filter(|name| !names.contains(name)).cloned());
    }
    let program = apt(host, "apt-get", &sources).arg(verb).args(options).args(&all);
    if purge {
        forget_downloads(host, &all)?;
    }
    transaction(program, turn).await.doing(doing).map_err(StateError::retryable)?;
    Ok(())
}

pub(super) async fn apply(host: &Host, wish: &Packages, turn: &Turn) -> Result<(), StateError> {
    checked_names(wish)?;
    let mut found = installed(host).await?;
    if found.values().any(|package| package.broken) || has_entries(host, Path::new(UPDATES))? {
        repair(host, turn).await;
        found = installed(host).await?;
    }
    let mut plan = decide(wish, &found);
    if !plan.install.is_empty() {
        let sources = Sources::of(host, wish)?;
        let updated = sources.update_if_changed(host, turn).await?;
        let mut missing = missing(&plan.install, &offered(host, &sources, &plan.install).await?);
        if !missing.is_empty() && !updated {
            sources.update(host, turn).await?;
            missing = self::missing(&plan.install, &offered(host, &sources, &plan.install).await?);
        }
        if !missing.is_empty() {
            let from = match &wish.only_from[..] {
                [] => "no repository of this host".to_owned(),
                names => format!("none of the repositories `{}`", names.join("`, `")),
            };
            return Err(StateError::new(format!("{from} offers `{}`", missing.join("`, `"))).retryable());
        }
        install(host, &sources, &plan.install, turn).await?;
        // dpkg forgets the hold of a package that it replaces.
        plan = decide(wish, &installed(host).await?);
    }
    if !plan.hold.is_empty() {
        let doing = || format!("could not hold {}", plan.hold.join(" "));
        transaction(host.program("apt-mark").arg("hold").args(&plan.hold), turn).await.doing(doing)?;
    }
    Ok(())
}

/// Finishes what an interrupted dpkg left. Where that fails, apt is asked to mend it with the installation.
async fn repair(host: &Host, turn: &Turn) {
    tracing::warn!("an installation of packages was interrupted, finishing it");
    let program = host.program("dpkg").args(["--configure", "-a", "--force-confdef", "--force-confold"]);
    if let Err(err) = transaction(program, turn).await {
        tracing::warn!(error = %err, "the interrupted installation could not be finished by dpkg");
    }
}

async fn install(host: &Host, sources: &Sources, wanted: &[Wanted], turn: &Turn) -> Result<(), StateError> {
    let names = || wanted.iter().map(argument);
    let program = apt(host, "apt-get", sources)
        .args(["install", "--yes", "--fix-broken", "--no-install-recommends"])
        .args(["--allow-downgrades", "--allow-change-held-packages"])
        .args(names());
    let doing = || format!("could not install {}", names().collect::<Vec<_>>().join(" "));
    transaction(program, turn).await.doing(doing).map_err(StateError::retryable)?;
    Ok(())
}

async fn offered(
    host: &Host,
    sources: &Sources,
    wanted: &[Wanted],
) -> Result<BTreeSet<(String, String)>, StateError> {
    let program = apt(host, "apt-cache", sources).arg("madison");
    let output = program.args(wanted.iter().map(|wanted| &wanted.name)).run().await;
    Ok(parse_offered(&output.doing(|| "could not ask which packages are offered".to_owned())?.stdout))
}

fn apt(host: &Host, name: &str, sources: &Sources) -> Program {
    host.program(name)
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .args(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"])
        .args(["-o", "Dpkg::Use-Pty=0"])
        .args(sources.options.iter().flat_map(|option| ["-o", option]))
}

impl Sources {
    fn of(host: &Host, wish: &Packages) -> Result<Self, StateError> {
        if wish.only_from.is_empty() {
            return Ok(Self { options: Vec::new(), stamp: None });
        }
        let state = Path::new(OWN_STATE).join(wish.only_from.join("+"));
        let (parts, lists) = (state.join("sources"), state.join("lists"));
        let mut digest = Sha256::new();
        let mut files = Vec::new();
        for name in &wish.only_from {
            checked_name(name)?;
            let file = format!("{name}.sources");
            let path = Path::new(APT_SOURCES).join(&file);
            let text = host.read(&path)?.ok_or_else(|| {
                StateError::new(format!(
                    "the repository `{name}` is unknown: `{}` does not exist",
                    path.display()
                ))
            })?;
            digest.update(&text);
            files.push((parts.join(file), text));
        }
        let doing = || format!("could not prepare `{}`", state.display());
        // Nothing but these may lie there, whatever an earlier run left.
        if host.exists(&parts) {
            std::fs::remove_dir_all(host.real(&parts)?).doing(doing)?;
        }
        for (path, text) in files {
            replace(&host.real(&path)?, &text, Numbers::root(0o644)).doing(doing)?;
        }
        make_directories(&host.real(&lists)?).doing(doing)?;
        Ok(Self {
            options: vec![
                "Dir::Etc::SourceList=/dev/null".to_owned(),
                format!("Dir::Etc::SourceParts={}", host.path_for_programs(&parts)?.display()),
                format!("Dir::State::Lists={}", host.path_for_programs(&lists)?.display()),
                "Dir::Cache::pkgcache=".to_owned(),
                "Dir::Cache::srcpkgcache=".to_owned(),
            ],
            stamp: Some((state.join("read-from"), hex::encode(digest.finalize()))),
        })
    }

    /// Reads the lists where the repositories are not those that were last read. Whether it did.
    async fn update_if_changed(&self, host: &Host, turn: &Turn) -> Result<bool, StateError> {
        let Some((path, stamp)) = &self.stamp else { return Ok(false) };
        if host.read_text(path)?.as_ref() == Some(stamp) {
            return Ok(false);
        }
        self.update(host, turn).await?;
        Ok(true)
    }

    async fn update(&self, host: &Host, turn: &Turn) -> Result<(), StateError> {
        let program = apt(host, "apt-get", self).args(["-o", "APT::Update::Error-Mode=any", "update"]);
        let doing = || "could not read the lists of the package repositories".to_owned();
        transaction(program, turn).await.doing(doing).map_err(StateError::retryable)?;
        if let Some((path, stamp)) = &self.stamp {
            replace(&host.real(path)?, stamp.as_bytes(), Numbers::root(0o644))
                .doing(|| format!("could not write `{}`", path.display()))?;
        }
        Ok(())
    }
}

/// Packages as they were downloaded, `NAME_VERSION_ARCHITECTURE.deb`.
fn forget_downloads(host: &Host, names: &[String]) -> Result<(), StateError> {
    for file in host.names(Path::new(DOWNLOADS))? {
        if file.ends_with(".deb")
            && file.split_once('_').is_some_and(|(name, _)| names.iter().any(|one| one == name))
        {
            let path = Path::new(DOWNLOADS).join(&file);
            std::fs::remove_file(host.real(&path)?)
                .doing(|| format!("could not remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// What a simulation of apt-get would remove or purge: lines such as `Remv runc [1.5.2-1]`.
fn removed(text: &str) -> BTreeSet<String> {
    let words = text.lines().filter_map(|line| line.strip_prefix("Remv ").or(line.strip_prefix("Purg ")));
    words.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// Reads `dpkg-query`'s lines: name, state of three letters (wish, state, error), version.
fn parse_installed(text: &str) -> BTreeMap<String, Installed> {
    let mut packages: BTreeMap<String, Installed> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[name, state, version] = &fields[..] else { continue };
        let mut letters = state.chars();
        let (wish, state, error) = (letters.next(), letters.next(), letters.next());
        // `t` and `W` wait only for triggers of others.
        let whole = matches!(state, Some('i' | 't' | 'W'));
        let broken = matches!(state, Some('H' | 'U' | 'F')) || error == Some('R');
        if whole || broken {
            let package = Installed { versions: vec![version.to_owned()], held: wish == Some('h'), broken };
            // Of several architectures, one that is whole counts.
            let entry = packages.entry(name.to_owned()).or_insert_with(|| package.clone());
            if entry.broken {
                *entry = package;
            }
        }
    }
    packages
}

/// Reads `apt-cache madison`'s lines: ` kubelet | 1.35.4 | file:/srv/... bookworm/main amd64 Packages`.
fn parse_offered(text: &str) -> BTreeSet<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('|').map(str::trim);
            Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
        })
        .collect()
}

fn missing(wanted: &[Wanted], offered: &BTreeSet<(String, String)>) -> Vec<String> {
    wanted
        .iter()
        .filter(|wanted| {
            !offered.iter().any(|(name, version)| {
                *name == wanted.name && wanted.version.as_ref().is_none_or(|wished| wished == version)
            })
        })
        .map(argument)
        .collect()
}

fn argument(wanted: &Wanted) -> String {
    match &wanted.version {
        Some(version) => format!("{}={version}", wanted.name),
        None => wanted.name.clone(),
    }
}

#[cfg(test)]
mod tests;
