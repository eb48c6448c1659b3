//! Parts of text files.

use std::{fs::File, os::unix::fs::MetadataExt, path::PathBuf};

use metalk8s_engine::{Change, ChangeKind, StateError, state::FileEdit};

use super::draft::replace_keeping;
use crate::{Host, doing::Doing, fingerprint};

/// Texts longer than this are not shown in plans.
const MOST_SHOWN: usize = 64 << 10;

/// A text before and after.
struct Edited {
    before: Option<String>,
    after: String,
}

pub(crate) fn check(host: &Host, wish: &FileEdit) -> Result<Option<Change>, StateError> {
    let Some(Edited { before, after }) = edited(host, wish)? else { return Ok(None) };
    let kind = if before.is_some() { ChangeKind::Update } else { ChangeKind::Create };
    let change = Change::new(kind, format!("edit {}", wish.path.display()));
    // A file that is not open to everybody may hold secrets beside the part that is wished for.
    let path = real(host, wish)?;
    let open = path.metadata().map_or(true, |found| found.mode() & 0o004 != 0);
    let short = after.len().max(before.as_deref().map_or(0, str::len)) <= MOST_SHOWN;
    if open && short {
        return Ok(Some(Change { before, after: Some(after), ..change }));
    }
    let found = before.map(|_| File::open(&path)).transpose();
    let found = found.doing(|| format!("could not read `{}`", wish.path.display()))?;
    let fingerprint = fingerprint::of(host, found.as_ref(), after.as_bytes())?;
    Ok(Some(Change { fingerprint, ..change }))
}

pub(crate) fn apply(host: &Host, wish: &FileEdit) -> Result<(), StateError> {
    let _guard = host.edit();
    let Some(Edited { before: _, after }) = edited(host, wish)? else { return Ok(()) };
    replace_keeping(&real(host, wish)?, after.as_bytes(), 0o644)
        .doing(|| format!("could not write `{}`", wish.path.display()))
}

/// The file itself, where its path is a link: the link stays.
fn real(host: &Host, wish: &FileEdit) -> Result<PathBuf, StateError> {
    let path = host.real(&wish.path)?;
    Ok(path.canonicalize().unwrap_or(path))
}

/// `None` where nothing is to be changed.
fn edited(host: &Host, wish: &FileEdit) -> Result<Option<Edited>, StateError> {
    let path = wish.path.display();
    let before = match host.read(&wish.path)? {
        Some(bytes) => {
            Some(String::from_utf8(bytes).map_err(|_| StateError::new(format!("`{path}` is not text")))?)
        }
        None if wish.may_be_missing => None,
        None => return Err(StateError::new(format!("`{path}` does not exist"))),
    };
    let old = before.as_deref().unwrap_or_default();
    let after = wish.edit.edited(old).doing(|| format!("could not edit `{path}`"))?;
    Ok((after != old).then_some(Edited { before, after }))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use metalk8s_engine::{
        State,
        state::{Edit, Otherwise},
    };

    use super::*;
    use crate::testing::{Lab, chain, mode};

    fn wish(edit: Edit, may_be_missing: bool) -> State {
        State::FileEdit(FileEdit { path: "/etc/x.conf".into(), edit, may_be_missing })
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn lines_are_added_and_the_rest_stays_as_it_was() {
        let lab = Lab::new();
        lab.settles(&wish(Edit::Append(lines(&["a"])), true)).await;
        let change = lab.settles(&wish(Edit::Append(lines(&["b", "a"])), false)).await;
        assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("a\n"), Some("a\nb\n")));
        lab.settles(&wish(Edit::Prepend(lines(&["# head"])), false)).await;
        assert_eq!(lab.text("/etc/x.conf"), "# head\na\nb\n");
    }

    #[tokio::test]
    async fn a_match_is_replaced_behind_a_link_and_keeps_its_mode() {
        let mut lab = Lab::new();
        lab.file("/etc/real.conf", "port = 1\n");
        fs::set_permissions(lab.path("/etc/real.conf"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        symlink("real.conf", lab.path("/etc/x.conf")).unwrap();
        let pattern = "(?m)^port = .*$".to_owned();
        let otherwise = Some(Otherwise::Append("port = 2".to_owned()));
        let edit = Edit::Replace { pattern, with: "port = 2".to_owned(), most: 0, otherwise };
        lab.host = lab.host.with_fingerprints("/etc/plans.key");
        lab.file("/etc/plans.key", "a key");
        let change = lab.settles(&wish(edit, false)).await;
        assert_eq!(change.after, None, "what is closed to others is not shown");
        assert!(change.fingerprint.is_some());
        assert_eq!(lab.text("/etc/real.conf"), "port = 2\n");
        assert_eq!(mode(&lab.path("/etc/real.conf")), 0o600);
        assert!(fs::symlink_metadata(lab.path("/etc/x.conf")).unwrap().is_symlink());
    }

    #[tokio::test]
    async fn what_cannot_be_edited_is_said() {
        let lab = Lab::new();
        let append = wish(Edit::Append(lines(&["a"])), false);
        let err = lab.check(&append).await.unwrap_err();
        assert_eq!(err.to_string(), "`/etc/x.conf` does not exist");
        lab.file("/etc/x.conf", "a\n");
        let edit = Edit::Replace { pattern: "a".into(), with: "aa".into(), most: 0, otherwise: None };
        let err = lab.check(&wish(edit, false)).await.unwrap_err();
        assert!(chain(&err).contains("changed each time"), "{}", chain(&err));
        fs::write(lab.path("/etc/x.conf"), [0xff]).unwrap();
        assert_eq!(lab.check(&append).await.unwrap_err().to_string(), "`/etc/x.conf` is not text");
    }
}
