//! Files brought to the machine, whole or not at all.

mod error;
mod source;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::fs::File;

pub use self::error::UploadError;
use self::source::Source;
use crate::{Command, End, Ran, RunError, Session};

/// How long it may take to find out whether a file is there, besides the deadline of the whole.
const LOOK: Duration = Duration::from_secs(60);

/// Looks whether `$1` has the digest `$2`, and then sees to its mode `$3`. A file of somebody else does not
/// count: its owner could change it after the look.
const CHECK: &str = r#"
[ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || exit 90
[ "$(sha256sum < "$1")" = "$2  -" ] || exit 90
chmod "$3" "$1"
"#;

/// Writes `$1` from its input: first beside it, as `$4` in the folder `$5`, and in its place only when the
/// digest is right. The trap removes what a lost connection or a full disk leaves.
const WRITE: &str = r#"
[ ! -d "$1" ] || exit 91
( umask 022; mkdir -p "$5" ) || exit 92
rm -f "$4" || exit 93
trap 'rm -f "$4"' EXIT
trap 'exit 93' HUP INT TERM PIPE
umask 077
set -C
cat > "$4" || exit 93
found=$(sha256sum < "$4") || exit 93
[ "$found" = "$2  -" ] || { printf '%s' "${found%% *}"; exit 94; }
chmod "$3" "$4" && mv -f "$4" "$1" || exit 93
"#;

/// Called with how many bytes are sent and how many there are.
type OnProgress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// A file that a machine shall have.
#[derive(Clone)]
pub struct Upload {
    source: PathBuf,
    destination: String,
    sha256: String,
    mode: u32,
    deadline: Duration,
    on_progress: Option<OnProgress>,
}

impl Upload {
    /// A file here whose digest is known, and the absolute path it shall have on the machine, with the
    /// permissions 0644. It must be there before `deadline`.
    pub fn new(
        source: impl Into<PathBuf>,
        sha256: impl Into<String>,
        destination: impl Into<String>,
        deadline: Duration,
    ) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            sha256: sha256.into().to_ascii_lowercase(),
            mode: 0o644,
            deadline,
            on_progress: None,
        }
    }

    /// The same with other permissions, such as 0755.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o7777;
        self
    }

    /// The same, telling how many bytes of how many are sent.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(told));
        self
    }
}

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// The file was there already, with this digest.
    WasThere,
    /// So many bytes were sent.
    Sent(u64),
}

impl Session {
    /// Brings a file to the machine, unless it is there already.
    ///
    /// At its path there is the old file or the whole new one, never a part. It belongs to who runs commands
    /// there: the user, or root with `sudo`. Folders above it are made.
    ///
    /// # Errors
    /// When the file here cannot be read or is another one, or cannot be written there.
    pub async fn upload(&self, upload: &Upload) -> Result<Uploaded, UploadError> {
        let start = Instant::now();
        let (folder, beside) = places(&upload.destination)?;
        let command = |script: &str, title: &str, deadline: Duration| {
            let mode = format!("{:04o}", upload.mode);
            let words = ["-c", script, "sh", &upload.destination, &upload.sha256, &mode, &beside, &folder];
            let title = Some(format!("{title} {}", upload.destination));
            Command { title, ..Command::new("/bin/sh", deadline).args(words) }
        };
        let failed = |source| self.not_uploaded(upload, source);
        let looked =
            self.run(&command(CHECK, "sha256sum", upload.deadline.min(LOOK))).await.map_err(failed)?;
        match looked.end {
            End::Status(0) => return Ok(Uploaded::WasThere),
            End::Status(90) => {}
            _ => return Err(self.judge(upload, &looked)),
        }
        let unreadable = |source| UploadError::Source { path: upload.source.clone(), source };
        let file = File::open(&upload.source).await.map_err(unreadable)?;
        let size = file.metadata().await.map_err(unreadable)?.len();
        let mut source = Source::new(file, |sent| {
            if let Some(tell) = &upload.on_progress {
                tell(sent, size);
            }
        });
        let left = upload.deadline.saturating_sub(start.elapsed());
        let ran = match self.converse(&command(WRITE, "cat >", left), &mut source).await {
            Err(RunError::Input { source, .. }) => return Err(unreadable(source)),
            other => other.map_err(failed)?,
        };
        if ran.is_success() {
            let sent = source.sent();
            tracing::debug!(machine = %self.endpoint, path = upload.destination, sent, "file uploaded");
            return Ok(Uploaded::Sent(sent));
        }
        match source.digest() {
            Some(found) if ran.end == End::Status(94) && found != upload.sha256 => {
                let path = upload.source.clone();
                Err(UploadError::OtherSource { path, expected: upload.sha256.clone(), found })
            }
            _ => Err(self.judge(upload, &ran)),
        }
    }

    fn judge(&self, upload: &Upload, ran: &Ran) -> UploadError {
        let machine = self.endpoint.to_string();
        let path = upload.destination.clone();
        let said = ran.stderr.text();
        match ran.end {
            _ if said.contains("No space left on device") || said.contains("Disk quota exceeded") => {
                UploadError::DiskFull { machine, path }
            }
            End::Status(91) => UploadError::IsFolder { machine, path },
            End::Status(94) => UploadError::Damaged {
                machine,
                path,
                expected: upload.sha256.clone(),
                found: ran.stdout.shown(64),
            },
            _ => UploadError::Refused { machine, path, source: crate::words::cause(&ran.stderr.bytes) },
        }
    }

    fn not_uploaded(&self, upload: &Upload, source: RunError) -> UploadError {
        let machine = self.endpoint.to_string();
        UploadError::Run { machine, path: upload.destination.clone(), source }
    }
}

/// The folder of a path, and a path beside it for what is not whole yet: always the same one, so that what a
/// machine without power leaves there is replaced by the next upload.
fn places(destination: &str) -> Result<(String, String), UploadError> {
    let path = Path::new(destination);
    let bad = || UploadError::BadPath { path: destination.to_owned() };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(bad)?;
    let folder = path.parent().and_then(Path::to_str).ok_or_else(bad)?;
    if !path.is_absolute() || destination.ends_with('/') || destination.contains('\0') {
        return Err(bad());
    }
    Ok((folder.to_owned(), format!("{}/.{name}.upload", folder.trim_end_matches('/'))))
}
