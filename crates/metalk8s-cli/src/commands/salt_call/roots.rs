//! Folders of SLS files on this machine.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use metalk8s_saltcompat::{FileRoots, Found};
use rustix::fs::OFlags;

/// File roots, the first that has a file counts. Links are followed, as Salt does.
pub(crate) struct Folders(Vec<PathBuf>);

impl Folders {
    /// Paths become absolute, because states copy files from where they were found.
    pub(crate) fn new(roots: Vec<PathBuf>) -> io::Result<Self> {
        roots.into_iter().map(std::path::absolute).collect::<Result<_, _>>().map(Self)
    }
}

impl FileRoots for Folders {
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Found>> {
        // Without `NONBLOCK` opening a pipe would wait for its other end.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        for root in &self.0 {
            let path = root.join(path);
            let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
                Ok(file) => file,
                Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(err) => return Err(err),
            };
            if !file.metadata()?.is_file() {
                continue;
            }
            let mut bytes = Vec::new();
            file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
            if bytes.len() > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            return Ok(Some(Found { bytes, path }));
        }
        Ok(None)
    }

    fn find(&self, path: &str) -> io::Result<Option<PathBuf>> {
        for root in &self.0 {
            let path = root.join(path);
            match path.metadata() {
                Ok(found) if found.is_file() => return Ok(Some(path)),
                Ok(_) => {}
                Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(err) => return Err(err),
            }
        }
        Ok(None)
    }

    fn called(&self) -> String {
        let roots: Vec<String> = self.0.iter().map(|root| format!("`{}`", root.display())).collect();
        roots.join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_root_with_a_file_counts_and_what_is_no_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["a", "b"].map(|name| folder.path().join(name));
        fs::create_dir_all(roots[0].join("web.sls")).unwrap();
        fs::create_dir_all(&roots[1]).unwrap();
        fs::write(roots[1].join("web.sls"), "second").unwrap();
        fs::write(roots[0].join("db.sls"), "first").unwrap();
        fs::write(roots[1].join("db.sls"), "second").unwrap();
        let folders = Folders::new(roots.to_vec()).unwrap();
        let read = |path: &str| folders.read(path, 100).unwrap().map(|found| found.bytes);
        assert_eq!(read("web.sls").unwrap(), b"second");
        assert_eq!(read("db.sls").unwrap(), b"first");
        assert_eq!(read("web.sls/init.sls"), None);
        assert_eq!(folders.find("web.sls").unwrap(), Some(roots[1].join("web.sls")));
        assert_eq!(folders.find("db.sls").unwrap(), Some(roots[0].join("db.sls")));
        assert_eq!(folders.find("web.sls/init.sls").unwrap(), None);
        assert_eq!(folders.read("db.sls", 5).unwrap().unwrap().path, roots[0].join("db.sls"));
        assert_eq!(folders.read("db.sls", 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
