//! Files of the fake host.

use std::path::Path;

use super::{Entry, World};
use crate::{
    Change, ChangeKind, State, StateError,
    state::{Contents, Directory, File, FileEdit},
};

impl World {
    /// The text of a regular file.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<&str> {
        match self.files.get(path.as_ref())? {
            Entry::File { text, .. } => Some(text),
            Entry::Directory { .. } | Entry::Symlink(_) => None,
        }
    }

    /// Puts a file of root with mode 0644 somewhere.
    pub fn write(&mut self, path: impl AsRef<Path>, text: impl Into<String>) {
        let entry =
            Entry::File { text: text.into(), mode: 0o644, user: "root".to_owned(), group: "root".to_owned() };
        self.files.insert(path.as_ref().to_owned(), entry);
    }

    pub(super) fn check_file(&self, state: &State) -> Result<Option<Change>, StateError> {
        let (path, wanted) = match state {
            State::Absent(absent) => {
                let there = self.files.keys().any(|path| path.starts_with(&absent.path));
                let summary = format!("remove {}", absent.path.display());
                return Ok(there.then(|| Change::new(ChangeKind::Remove, summary)));
            }
            State::FileEdit(edit) => match self.wanted_edit(edit)? {
                Some(wanted) => (&edit.path, wanted),
                None => return Ok(None),
            },
            State::File(file) => (&file.path, self.wanted_file(file)?),
            State::Directory(directory) => (&directory.path, self.wanted_directory(directory)),
            State::Symlink(link) => (&link.path, Entry::Symlink(link.target.clone())),
            _ => return Ok(None),
        };
        let found = self.files.get(path);
        if found == Some(&wanted) {
            return Ok(None);
        }
        let kind = if found.is_some() { ChangeKind::Update } else { ChangeKind::Create };
        let shown =
            matches!(state, State::File(File { contents: Contents::Text(_), .. }) | State::FileEdit(_));
        let text = |entry: &Entry| match entry {
            Entry::File { text, .. } if shown => Some(text.clone()),
            _ => None,
        };
        Ok(Some(Change {
            before: found.and_then(text),
            after: text(&wanted),
            ..Change::new(kind, format!("write {}", path.display()))
        }))
    }

    pub(super) fn make_file(&mut self, state: &State) -> Result<(), StateError> {
        let (path, entry) = match state {
            State::Absent(absent) => {
                self.files.retain(|path, _| !path.starts_with(&absent.path));
                return Ok(());
            }
            State::FileEdit(edit) => match self.wanted_edit(edit)? {
                Some(wanted) => (&edit.path, wanted),
                None => return Ok(()),
            },
            State::File(file) => (&file.path, self.wanted_file(file)?),
            State::Directory(directory) => (&directory.path, self.wanted_directory(directory)),
            State::Symlink(link) => (&link.path, Entry::Symlink(link.target.clone())),
            _ => return Ok(()),
        };
        self.files.insert(path.clone(), entry);
        Ok(())
    }

    fn wanted_file(&self, file: &File) -> Result<Entry, StateError> {
        let File { path, contents, mode, user, group, validate } = file;
        let read = |from: &Path| {
            let missing = || StateError::new(format!("could not read `{}`", from.display()));
            self.text(from).ok_or_else(missing)
        };
        let text = match contents {
            Contents::Text(text) => text.clone(),
            Contents::CopyOf(from) => read(from)?.to_owned(),
            Contents::Kept => self.text(path).unwrap_or_default().to_owned(),
            Contents::WithSecrets { text, secrets } => {
                let mut text = text.clone();
                for (placeholder, from) in secrets {
                    text = text.replace(placeholder, read(from)?.trim());
                }
                text
            }
        };
        if let Some(argv) = validate
            && self.failing.contains(argv)
        {
            return Err(StateError::new(format!(
                "`{}` does not accept `{}`",
                argv.join(" "),
                path.display()
            )));
        }
        let (old_user, old_group) = self.owner(path);
        Ok(Entry::File {
            text,
            mode: mode.or(self.mode(path)).unwrap_or(0o644),
            user: user.clone().unwrap_or(old_user),
            group: group.clone().unwrap_or(old_group),
        })
    }

    /// `None` where there is no file and none is made.
    fn wanted_edit(&self, wish: &FileEdit) -> Result<Option<Entry>, StateError> {
        let FileEdit { path, edit, may_be_missing } = wish;
        let before = self.text(path);
        if before.is_none() && !may_be_missing {
            return Err(StateError::new(format!("`{}` does not exist", path.display())));
        }
        let doing = |err| StateError::new(format!("could not edit `{}`", path.display())).because(err);
        let text = edit.edited(before.unwrap_or_default()).map_err(doing)?;
        let ((user, group), mode) = (self.owner(path), self.mode(path).unwrap_or(0o644));
        Ok((before.is_some() || !text.is_empty()).then_some(Entry::File { text, mode, user, group }))
    }

    fn wanted_directory(&self, directory: &Directory) -> Entry {
        let Directory { path, mode, user, group } = directory;
        let (old_user, old_group) = self.owner(path);
        Entry::Directory {
            mode: mode.or(self.mode(path)).unwrap_or(0o755),
            user: user.clone().unwrap_or(old_user),
            group: group.clone().unwrap_or(old_group),
        }
    }

    /// The permission bits of a path now.
    fn mode(&self, path: &Path) -> Option<u32> {
        match self.files.get(path)? {
            Entry::File { mode, .. } | Entry::Directory { mode, .. } => Some(*mode),
            Entry::Symlink(_) => None,
        }
    }

    /// Who owns a path now; root, where nothing is.
    fn owner(&self, path: &Path) -> (String, String) {
        match self.files.get(path) {
            Some(Entry::File { user, group, .. } | Entry::Directory { user, group, .. }) => {
                (user.clone(), group.clone())
            }
            Some(Entry::Symlink(_)) | None => ("root".to_owned(), "root".to_owned()),
        }
    }
}
