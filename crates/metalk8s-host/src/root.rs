//! Where absolute paths of states lead: the machine itself, or a root folder.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// As the kernel's own limit (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The folder that stands for `/`.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// The machine's own.
    Machine,
    /// Another system's, such as the folder of an image being made.
    Folder(PathBuf),
}

impl Root {
    /// The path to give to the operating system for an absolute path of a state.
    ///
    /// In a folder, links above the last component are followed as the folder's own system would follow
    /// them: `/run/x` below a folder whose `run` links to `/var/run` never leaves the folder.
    pub(crate) fn real(&self, path: &Path) -> io::Result<PathBuf> {
        if !path.is_absolute() || path.components().any(|part| matches!(part, Component::ParentDir)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path is not absolute, or has `..` in it",
            ));
        }
        match self {
            Self::Machine => Ok(path.to_owned()),
            Self::Folder(folder) => resolve(folder, path),
        }
    }
}

fn resolve(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut waiting: VecDeque<OsString> = names(path).collect();
    let mut done: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(name) = waiting.pop_front() {
        if name == ".." {
            done.pop();
            continue;
        }
        let here = folder.join(done.iter().collect::<PathBuf>()).join(&name);
        let target = if waiting.is_empty() { None } else { fs::read_link(&here).ok() };
        let Some(target) = target else {
            done.push(name);
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many symbolic links"));
        }
        if target.is_absolute() {
            done.clear();
        }
        for part in names(&target).collect::<Vec<_>>().into_iter().rev() {
            waiting.push_front(part);
        }
    }
    Ok(folder.join(done.iter().collect::<PathBuf>()))
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_a_root_folder_never_lead_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::Folder(folder.path().to_owned());
        fs::create_dir_all(folder.path().join("var")).unwrap();
        symlink("/run", folder.path().join("var/run")).unwrap();
        symlink("../../../etc", folder.path().join("var/up")).unwrap();
        symlink("round", folder.path().join("round")).unwrap();

        assert_eq!(root.real(Path::new("/var/run/x")).unwrap(), folder.path().join("run/x"));
        assert_eq!(root.real(Path::new("/var/up/hosts")).unwrap(), folder.path().join("etc/hosts"));
        assert!(root.real(Path::new("/round/x")).is_err());
    }

    #[test]
    fn the_last_component_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/elsewhere", folder.path().join("link")).unwrap();
        let root = Root::Folder(folder.path().to_owned());
        assert_eq!(root.real(Path::new("/link")).unwrap(), folder.path().join("link"));
    }

    #[test]
    fn relative_paths_and_parents_are_refused() {
        for path in ["etc/hosts", "/etc/../hosts"] {
            assert!(Root::Machine.real(Path::new(path)).is_err(), "{path}");
        }
    }
}
