//! A root folder and programs of its own, for tests.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use metalk8s_engine::{Change, Hands, State, StateError};

use crate::Host;

/// A host that is nothing but two temporary folders.
pub(crate) struct Lab {
    pub(crate) host: Host,
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, programs) = (folder.path().join("root"), folder.path().join("programs"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&programs).unwrap();
        Self { host: Host::in_root_with_programs(root, programs), folder }
    }

    /// Where a path of the host really is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Puts a file on the host.
    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Gives the host a program: a script of the shell in which `$ROOT` is the root folder. Its arguments
    /// are kept for [`Self::calls`].
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join("programs").join(name);
        let log = self.folder.path().join("calls");
        let root = self.folder.path().join("root");
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nROOT='{}'\necho \"{name} $*\" >> '{}'\n{script}\n",
                root.display(),
                log.display()
            ),
        )
        .unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// All programs that were run, with their arguments, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.host.check(state).await
    }

    /// Applies a state that needs a change, and sees that it then needs none.
    #[track_caller]
    pub(crate) fn settles(&self, state: &State) -> impl Future<Output = Change> {
        let caller = std::panic::Location::caller();
        async move {
            let change = self
                .host
                .check(state)
                .await
                .unwrap_or_else(|err| panic!("{caller}: {}", chain(&err)))
                .unwrap_or_else(|| panic!("{caller}: nothing to change"));
            let done = self
                .host
                .apply(state, &change)
                .await
                .unwrap_or_else(|err| panic!("{caller}: {}", chain(&err)));
            let left = self.host.check(state).await.unwrap_or_else(|err| panic!("{caller}: {}", chain(&err)));
            assert_eq!(left, None, "{caller}: still to change");
            done
        }
    }

    /// What stands in a directory, by name.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// An error with all its causes.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(err) = next {
        text = format!("{text}: {err}");
        next = err.source();
    }
    text
}

/// Whether a file has exactly these permission bits.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}
