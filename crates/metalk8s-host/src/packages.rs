//! System packages, installed by the host's own package manager in one transaction.

mod apt;
mod dnf;
mod removal;
mod turn;

use std::{collections::BTreeMap, path::Path, time::Duration};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Packages};
use metalk8s_types::grains::OsFamily;

pub(crate) use removal::{check_removed, remove};
use turn::Turn;

use crate::{
    Host,
    grains::os,
    program::{Program, ProgramError},
};

/// A large transaction on a slow disk, with another one before it that holds the lock.
const DEADLINE: Duration = Duration::from_secs(1_800);

/// A package as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Installed {
    /// Every way in which its version may be wished for.
    versions: Vec<String>,
    held: bool,
    /// Its installation was interrupted.
    broken: bool,
}

/// What has to be done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    install: Vec<Wanted>,
    hold: Vec<String>,
}

/// A package to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    version: Option<String>,
    /// The version that is there.
    instead_of: Option<String>,
}

pub(crate) async fn check(host: &Host, wish: &Packages) -> Result<Option<Change>, StateError> {
    let installed = match family(host)? {
        OsFamily::RedHat => dnf::installed(host, wish).await?,
        OsFamily::Debian | OsFamily::Other => apt::installed(host).await?,
    };
    Ok(change(&decide(wish, &installed)))
}

pub(crate) async fn apply(host: &Host, wish: &Packages) -> Result<(), StateError> {
    let turn = Turn::wait(host).await?;
    match family(host)? {
        OsFamily::RedHat => dnf::apply(host, wish, &turn).await,
        OsFamily::Debian | OsFamily::Other => apt::apply(host, wish, &turn).await,
    }
}

impl Host {
    /// All installed packages with their versions.
    ///
    /// # Errors
    /// When the host's package manager cannot be asked.
    pub async fn packages(&self) -> Result<BTreeMap<String, String>, StateError> {
        let installed = match family(self)? {
            OsFamily::RedHat => dnf::all(self).await?,
            OsFamily::Debian | OsFamily::Other => apt::installed(self).await?,
        };
        let version = |found: Installed| found.versions.into_iter().next_back().unwrap_or_default();
        Ok(installed.into_iter().map(|(name, found)| (name, version(found))).collect())
    }
}

fn family(host: &Host) -> Result<OsFamily, StateError> {
    let found = os::read(host)?;
    match found.family {
        OsFamily::Other => Err(StateError::new(format!(
            "packages cannot be installed on `{}`: it has neither apt nor dnf",
            found.pretty_name
        ))),
        family @ (OsFamily::Debian | OsFamily::RedHat) => Ok(family),
    }
}

/// Holds that were not wished for are left: an administrator may have set them.
fn decide(wish: &Packages, installed: &BTreeMap<String, Installed>) -> Plan {
    let mut plan = Plan::default();
    for (name, version) in &wish.packages {
        let found = installed.get(name);
        let is_right = found.is_some_and(|found| {
            !found.broken && version.as_ref().is_none_or(|version| found.versions.contains(version))
        });
        if !is_right {
            plan.install.push(Wanted {
                name: name.clone(),
                version: version.clone(),
                instead_of: found.and_then(|found| found.versions.last().cloned()),
            });
        }
        if wish.hold && !found.is_some_and(|found| found.held) {
            plan.hold.push(name.clone());
        }
    }
    plan
}

fn change(plan: &Plan) -> Option<Change> {
    if plan.install.is_empty() {
        let hold = (!plan.hold.is_empty()).then(|| format!("hold {}", plan.hold.join(" ")));
        return hold.map(|summary| Change::new(ChangeKind::Update, summary));
    }
    let kind = if plan.install.iter().all(|wanted| wanted.instead_of.is_none()) {
        ChangeKind::Create
    } else {
        ChangeKind::Update
    };
    let names: Vec<String> = plan
        .install
        .iter()
        .map(|wanted| {
            let version = wanted.version.as_ref().map(|version| format!("={version}")).unwrap_or_default();
            let before =
                wanted.instead_of.as_ref().map(|before| format!(" (now {before})")).unwrap_or_default();
            format!("{}{version}{before}", wanted.name)
        })
        .collect();
    Some(Change::new(kind, format!("install {}", names.join(" "))))
}

/// Runs a program of the package manager: no questions, no restarts of services behind our back.
async fn transaction(program: Program, turn: &Turn) -> Result<String, ProgramError> {
    let output = turn
        .hand_to(program)?
        .environment("DEBIAN_FRONTEND", "noninteractive")
        // Ubuntu's needrestart would restart services of the host after every installation.
        .environment("NEEDRESTART_SUSPEND", "1")
        .deadline(DEADLINE)
        .run()
        .await?;
    tracing::debug!(output = %output.stdout, "the package manager has ended");
    Ok(output.stdout)
}

/// Names of packages become arguments: none of them may be read as an option, a file or a pattern.
fn checked_names(wish: &Packages) -> Result<(), StateError> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.' | '_');
    let version_letter = |found: char| letter(found) || matches!(found, ':' | '~' | '^');
    for (name, version) in &wish.packages {
        let starts = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !starts || !name.chars().all(letter) {
            return Err(StateError::new(format!("`{name}` is no name of a package")));
        }
        // apt reads a name ending in `+` or `-` as an order to install or to remove.
        if name.ends_with('-') || version.as_ref().is_some_and(|text| !text.chars().all(version_letter)) {
            return Err(StateError::new(format!("`{name}` is wished for in an impossible version")));
        }
    }
    Ok(())
}

/// Whether a path of the host is a directory with something in it.
fn has_entries(host: &Host, path: &Path) -> Result<bool, StateError> {
    Ok(std::fs::read_dir(host.real(path)?).is_ok_and(|mut entries| entries.next().is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(version: &str, held: bool, broken: bool) -> Installed {
        Installed { versions: vec![version.to_owned()], held, broken }
    }

    fn wish(packages: &[(&str, Option<&str>)], hold: bool) -> Packages {
        let packages =
            packages.iter().map(|(name, version)| ((*name).to_owned(), version.map(str::to_owned)));
        Packages { packages: packages.collect(), hold, only_from: Vec::new() }
    }

    #[test]
    fn only_what_is_missing_wrong_or_broken_is_installed() {
        let found = [
            ("right".to_owned(), installed("1", false, false)),
            ("wrong".to_owned(), installed("1", true, false)),
            ("broken".to_owned(), installed("2", false, true)),
        ]
        .into();
        let wish = wish(
            &[("right", Some("1")), ("wrong", Some("2")), ("broken", Some("2")), ("missing", None)],
            false,
        );
        let plan = decide(&wish, &found);
        let names: Vec<&str> = plan.install.iter().map(|wanted| &*wanted.name).collect();
        assert_eq!((names, plan.hold.len()), (vec!["broken", "missing", "wrong"], 0));
        assert_eq!(change(&plan).unwrap().summary, "install broken=2 (now 2) missing wrong=2 (now 1)");
    }

    #[test]
    fn holding_alone_is_a_change_and_a_foreign_hold_is_none() {
        let found =
            [("a".to_owned(), installed("1", false, false)), ("b".to_owned(), installed("1", true, false))]
                .into();
        assert_eq!(
            change(&decide(&wish(&[("a", None), ("b", None)], true), &found)).unwrap().summary,
            "hold a"
        );
        assert_eq!(change(&decide(&wish(&[("a", None), ("b", None)], false), &found)), None);
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in ["-y", "a*", "a-", "./a.deb", "", "a b"] {
            assert!(checked_names(&wish(&[(name, None)], false)).is_err(), "{name}");
        }
        assert!(checked_names(&wish(&[("a", Some("1 b"))], false)).is_err());
        assert!(checked_names(&wish(&[("libstdc++6", Some("1:12.2.0-14+deb12u1~x"))], false)).is_ok());
    }
}
