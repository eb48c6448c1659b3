//! Package repositories known to the host's package manager.

use std::path::{Path, PathBuf};

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Repository, RepositorySource},
};

use metalk8s_types::header;

use crate::{
    Host,
    doing::Doing,
    files::{draft::replace, owner::Numbers},
};

/// Where apt reads sources.
pub(crate) const APT_SOURCES: &str = "/etc/apt/sources.list.d";
const DNF_REPOSITORIES: &str = "/etc/yum.repos.d";

pub(crate) fn check(host: &Host, wish: &Repository) -> Result<Option<Change>, StateError> {
    let path = path(wish)?;
    let found = host.read_text(&path)?;
    let wished = text(host, wish)?;
    if wished.is_some() && found == wished {
        return Ok(None);
    }
    let kind = if found.is_some() { ChangeKind::Update } else { ChangeKind::Create };
    Ok(Some(Change {
        before: found,
        after: wished,
        ..Change::new(kind, format!("write {}", path.display()))
    }))
}

pub(crate) fn apply(host: &Host, wish: &Repository) -> Result<(), StateError> {
    let path = path(wish)?;
    let text = text(host, wish)?.ok_or_else(|| {
        StateError::new(format!(
            "the key `{}` of repository `{}` does not exist",
            wish.key.display(),
            wish.name
        ))
    })?;
    replace(&host.real(&path)?, text.as_bytes(), Numbers::root(0o644))
        .doing(|| format!("could not write `{}`", path.display()))
}

fn path(wish: &Repository) -> Result<PathBuf, StateError> {
    let (folder, ending) = match wish.source {
        RepositorySource::Apt { .. } => (APT_SOURCES, "sources"),
        RepositorySource::Dnf { .. } => (DNF_REPOSITORIES, "repo"),
    };
    checked_name(&wish.name)?;
    Ok(Path::new(folder).join(format!("{}.{ending}", wish.name)))
}

/// Files of repositories whose names begin so.
pub(crate) fn files(host: &Host, prefix: &str) -> Result<Vec<PathBuf>, StateError> {
    let mut found = Vec::new();
    for (folder, ending) in [(APT_SOURCES, ".sources"), (DNF_REPOSITORIES, ".repo")] {
        let names = host.names(Path::new(folder))?.into_iter();
        let ours = names.filter(|name| name.starts_with(prefix) && name.ends_with(ending));
        found.extend(ours.map(|name| Path::new(folder).join(name)));
    }
    Ok(found)
}

/// apt leaves out files with other letters in their names; and a name is no path.
pub(crate) fn checked_name(name: &str) -> Result<(), StateError> {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(letters) {
        return Err(StateError::new(format!("`{name}` cannot be the name of a repository")));
    }
    Ok(())
}

/// What the file must hold; `None` while the key is not there yet.
fn text(host: &Host, wish: &Repository) -> Result<Option<String>, StateError> {
    let Some(key) = host.read_text(&wish.key)? else { return Ok(None) };
    match &wish.source {
        RepositorySource::Apt { uri, suite, components } => {
            one_line(&wish.name, [uri, suite].into_iter().chain(components))?;
            // The key stands in the file itself (apt 2.3.10 and later): so it is trusted for this repository
            // alone, and a key on an archive that is not mounted does not break the host's own updates.
            Ok(Some(format!(
                "{}Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {}\nSigned-By:\n{}",
                header(),
                components.join(" "),
                folded(&key)
            )))
        }
        RepositorySource::Dnf { base_url, ca } => {
            let key = wish.key.display().to_string();
            let ca = ca.as_ref().map(|path| format!("sslcacert={}", path.display())).unwrap_or_default();
            one_line(&wish.name, [base_url, &key, &ca])?;
            // A module stream, such as container-tools of EL 8, would hide packages of ours with the same name.
            // The repositories are on the control plane, where no proxy leads.
            let ca = if ca.is_empty() { ca } else { format!("{ca}\nproxy=_none_\n") };
            Ok(Some(format!(
                "{header}[{name}]\nname={name}\nbaseurl={base_url}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n\
                 gpgkey=file://{key}\nskip_if_unavailable=1\nmodule_hotfixes=1\n{ca}",
                header = header(),
                name = wish.name
            )))
        }
    }
}

fn one_line<'t>(name: &str, texts: impl IntoIterator<Item = &'t String>) -> Result<(), StateError> {
    for text in texts {
        if text.contains(['\n', '\r']) {
            return Err(StateError::new(format!(
                "the address of repository `{name}` has more than one line"
            )));
        }
    }
    Ok(())
}

/// A value of several lines, as deb822(5) writes it.
fn folded(text: &str) -> String {
    text.trim()
        .lines()
        .map(|line| match line.trim_end() {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc=\n-----END PGP PUBLIC KEY BLOCK-----\n";

    fn apt(uri: &str) -> Repository {
        Repository {
            name: "metalk8s-0.1.0".to_owned(),
            source: RepositorySource::Apt {
                uri: uri.to_owned(),
                suite: "bookworm".to_owned(),
                components: vec!["main".to_owned()],
            },
            key: "/srv/key.asc".into(),
        }
    }

    #[tokio::test]
    async fn a_repository_of_apt_carries_its_key() {
        let lab = Lab::new();
        assert!(lab.check(&State::Repository(apt("file:///srv/a"))).await.unwrap().is_some(), "no key yet");
        lab.file("/srv/key.asc", KEY);
        lab.settles(&State::Repository(apt("file:///srv/a"))).await;
        lab.settles(&State::Repository(apt("file:///srv/b"))).await;
        assert_eq!(
            lab.text("/etc/apt/sources.list.d/metalk8s-0.1.0.sources"),
            header()
                + "Types: deb\nURIs: file:///srv/b\nSuites: bookworm\nComponents: main\nSigned-By:\n \
                   -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----\n"
        );
    }

    #[tokio::test]
    async fn a_repository_of_dnf_checks_packages_and_metadata() {
        let lab = Lab::new();
        lab.file("/srv/key.asc", KEY);
        let source = RepositorySource::Dnf { base_url: "file:///srv/a".to_owned(), ca: None };
        lab.settles(&State::Repository(Repository { source, ..apt("") })).await;
        let text = lab.text("/etc/yum.repos.d/metalk8s-0.1.0.repo");
        assert!(text.contains("\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file:///srv/key.asc\n"), "{text}");
    }

    #[test]
    fn names_and_addresses_cannot_reach_into_other_files_or_lines() {
        let lab = Lab::new();
        lab.file("/srv/key.asc", KEY);
        for name in ["../x", "", ".hidden", "a b"] {
            assert!(
                check(&lab.host, &Repository { name: name.to_owned(), ..apt("file:///a") }).is_err(),
                "{name}"
            );
        }
        assert!(check(&lab.host, &apt("file:///a\nTrusted: yes")).is_err());
    }
}
