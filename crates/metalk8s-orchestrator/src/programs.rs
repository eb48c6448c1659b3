//! Programs of other versions: states of a version are made by its own program (CFG-07). Each comes from the
//! repositories, is known by its digest, and stays beside the others.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::Method;
use metalk8s_diagnostics::{Code, Diagnose, code_of_io, explain, sentence};
use metalk8s_types::{
    VERSION, environment,
    pillar::{ClusterPillar, UnknownVersion},
};
use sha2::{Digest, Sha256};

use crate::https::{Https, KeyFileError};

/// How long a program may take to come over a slow network.
const PATIENCE: Duration = Duration::from_secs(600);
/// More than any program of ours, in bytes.
const LIMIT: u64 = 1 << 30;
/// Functions that make states of a version.
const OF_A_VERSION: &str = "state.";

/// Why there is no program of a version.
#[derive(Debug, thiserror::Error)]
pub enum FindProgramError {
    /// No archive of it.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// The authority of the repositories.
    #[error("the repositories cannot be asked")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No repository gave it.
    #[error("no repository gave the program of {version}: {}", .told.join("; "))]
    NotServed {
        /// Which version.
        version: String,
        /// What each of them said.
        told: Vec<String>,
    },
    /// A file here.
    #[error("could not keep `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for FindProgramError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Version(_) => explain::ARCHIVE_MISSING,
            Self::Authority(_) => explain::KEY_UNREADABLE,
            Self::NotServed { .. } => explain::REPOSITORY_UNREACHABLE,
            Self::File { source, .. } => code_of_io(source),
        })
    }
}

impl From<KeyFileError> for FindProgramError {
    fn from(error: KeyFileError) -> Self {
        Self::Authority(error.into())
    }
}

/// The version whose program has to carry out a call, where it is not this one: the one that `saltenv=` names. Pure.
pub fn other_version<'a>(function: &str, words: &'a [String]) -> Option<&'a str> {
    let named = words.iter().rev().find_map(|word| word.strip_prefix("saltenv="))?;
    let version = named.strip_prefix("metalk8s-")?;
    (function.starts_with(OF_A_VERSION) && version != VERSION).then_some(version)
}

/// The program of a version in `folder`, where it is kept as `metalk8s-<version>/metalk8s`. One that is not there,
/// or is another than the settings say, comes from the repositories, whose authority is in `authority`. Those of
/// versions that the cluster does not know any more go.
///
/// # Errors
/// When the settings do not know the version, or no repository gives the right program.
pub async fn program_of(
    settings: &ClusterPillar,
    version: &str,
    folder: &Path,
    authority: &Path,
    endpoints: &[String],
) -> Result<PathBuf, FindProgramError> {
    let wanted = &settings.version(version)?.program;
    let path = folder.join(environment(version)).join("metalk8s");
    let failed = |source| FindProgramError::File { path: path.clone(), source };
    if digest(&path).map_err(failed)?.as_ref() == Some(wanted) {
        return Ok(path);
    }
    let client = Https::new(authority, None)?;
    let mut told = Vec::new();
    for endpoint in endpoints {
        let url = format!("https://{endpoint}/{}/bin/metalk8s", environment(version));
        let mut draft = Draft::new(&path).map_err(failed)?;
        match client.download(Method::GET, &url, String::new(), &mut draft, LIMIT, PATIENCE).await {
            Err(error) => told.push(format!("{endpoint}: {}", sentence(&error))),
            Ok(()) if draft.digest() != *wanted => {
                told.push(format!("{endpoint}: it has another program, with the SHA-256 {}", draft.digest()));
            }
            Ok(()) => {
                draft.keep(&path).map_err(failed)?;
                forget_others(settings, folder).map_err(failed)?;
                return Ok(path);
            }
        }
    }
    Err(FindProgramError::NotServed { version: version.to_owned(), told })
}

/// A program that is on its way.
struct Draft {
    file: tempfile::NamedTempFile,
    hash: Sha256,
}

impl Draft {
    fn new(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        Ok(Self { file: tempfile::NamedTempFile::new_in(folder)?, hash: Sha256::new() })
    }

    fn digest(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    fn keep(self, path: &Path) -> io::Result<()> {
        self.file.as_file().set_permissions(Permissions::from_mode(0o755))?;
        self.file.as_file().sync_all()?;
        self.file.persist(path)?;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The SHA-256 of a file in hexadecimal digits; `None` where there is none.
fn digest(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Some(hex::encode(hash.finalize()))),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn forget_others(settings: &ClusterPillar, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix("metalk8s-"));
        if version.is_some_and(|version| !settings.versions.contains_key(version)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_another_version_are_made_by_its_program_and_nothing_else_is() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let own = format!("saltenv={}", environment(VERSION));
        for (function, text, expected) in [
            ("state.highstate", "saltenv=metalk8s-9.9.9", Some("9.9.9")),
            ("state.sls", "metalk8s.repo saltenv=metalk8s-9.9.9 test=True", Some("9.9.9")),
            ("state.highstate", own.as_str(), None),
            ("state.highstate", "saltenv=base", None),
            ("state.highstate", "test=True", None),
            ("saltutil.sync_all", "saltenv=metalk8s-9.9.9", None),
        ] {
            assert_eq!(other_version(function, &words(text)), expected, "{function} {text}");
        }
    }
}
