//! Symbolic links.

use std::{fs, io, path::PathBuf};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Symlink};

use super::{draft::Name, make_directories};
use crate::{Host, doing::Doing};

pub(crate) fn check(host: &Host, wish: &Symlink) -> Result<Option<Change>, StateError> {
    let (path, target) = (wish.path.display(), wish.target.display());
    let real = host.real(&wish.path)?;
    let change = |kind, before: Option<PathBuf>| Change {
        before: before.map(|before| before.display().to_string()),
        after: Some(target.to_string()),
        ..Change::new(kind, format!("link {path} to {target}"))
    };
    match fs::read_link(&real) {
        Ok(found) if found == wish.target => Ok(None),
        Ok(found) => Ok(Some(change(ChangeKind::Update, Some(found)))),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Some(change(ChangeKind::Create, None))),
        // EINVAL: something else is there.
        Err(err) if err.kind() == io::ErrorKind::InvalidInput => {
            if fs::symlink_metadata(&real).is_ok_and(|found| found.is_dir()) {
                return Err(StateError::new(format!("`{path}` is a directory, not a link")));
            }
            Ok(Some(change(ChangeKind::Update, None)))
        }
        Err(err) => Err(err).doing(|| format!("could not read `{path}`")),
    }
}

pub(crate) fn apply(host: &Host, wish: &Symlink) -> Result<(), StateError> {
    let doing = || format!("could not link `{}` to `{}`", wish.path.display(), wish.target.display());
    let real = host.real(&wish.path)?;
    let draft = Name::Usual.path(&real).doing(doing)?;
    if let Some(parent) = real.parent() {
        make_directories(parent).doing(doing)?;
    }
    match fs::remove_file(&draft) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err).doing(doing),
        _ => {}
    }
    std::os::unix::fs::symlink(&wish.target, &draft).doing(doing)?;
    fs::rename(&draft, &real)
        .inspect_err(|_| {
            let _ = fs::remove_file(&draft);
        })
        .doing(doing)
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    fn wish(target: &str) -> State {
        State::Symlink(Symlink { path: "/usr/bin/kubelet".into(), target: target.into() })
    }

    #[tokio::test]
    async fn a_link_is_made_and_moved_even_where_a_file_was() {
        let lab = Lab::new();
        lab.file("/usr/bin/kubelet", "a program");
        lab.settles(&wish("kubernetes")).await;
        lab.settles(&wish("/opt/kubernetes")).await;
        assert_eq!(fs::read_link(lab.path("/usr/bin/kubelet")).unwrap(), PathBuf::from("/opt/kubernetes"));
    }

    #[tokio::test]
    async fn a_directory_in_its_place_is_never_removed() {
        let lab = Lab::new();
        lab.file("/usr/bin/kubelet/precious", "");
        assert!(lab.check(&wish("kubernetes")).await.is_err());
    }
}
