//! Logs: a file that keeps everything, and what is shown besides.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{Code, Diagnose, Hint, colours_wanted, explain};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// A log file that is appended to, shared by all that write to it.
#[derive(Debug, Clone)]
pub struct LogFile {
    file: Arc<File>,
    path: Arc<Path>,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file could not be opened.
    #[error("could not open the log file `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Logging was set up before in this process.
    #[error("logging was set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Diagnose for LogError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Open { .. } => Some(explain::LOG_UNWRITABLE),
            Self::Twice(_) => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Open { .. } => vec!["another file can be given with `--log-file FILE`".into()],
            Self::Twice(_) => Vec::new(),
        }
    }
}

impl LogFile {
    /// Opens a log for appending, mode 0600, and makes its directory when it is missing.
    ///
    /// # Errors
    /// When the directory or the file cannot be made or opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let path = path.as_ref();
        let open = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            OpenOptions::new().append(true).create(true).mode(0o600).open(path)
        };
        let file = open().map_err(|source| LogError::Open { path: path.to_owned(), source })?;
        Ok(Self { file: Arc::new(file), path: path.into() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the line that opens a run, as the manual's scripts do: `--- <name> started on <date> ---`.
    ///
    /// # Errors
    /// Those of the file.
    pub fn opening(&self, name: &str) -> io::Result<()> {
        let now = jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Z %Y").to_string();
        // One write, so that lines of processes that share the file do not mix.
        (&*self.file).write_all(format!("--- {name} started on {now} ---\n").as_bytes())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.file).flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Logging of a command: everything from `debug` up of our own crates goes to `file`; `verbosity` shows it on
/// stderr too (0 only warnings, 1 from `info`, 2 from `debug`, more from `trace`). `METALK8S_LOG` overrides
/// what is kept and shown, in the words of `tracing_subscriber::EnvFilter`.
///
/// # Errors
/// When logging was set up before in this process.
pub fn command(file: Option<LogFile>, format: LogFormat, verbosity: u8) -> Result<(), LogError> {
    let shown = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let to_stderr = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours_wanted(&io::stderr()))
        .with_target(false)
        .without_time()
        .with_filter(filter(shown));
    Registry::default()
        .with(to_stderr)
        .with(file.map(|file| to_file(file, format)))
        .try_init()
        .map_err(LogError::Twice)
}

/// Logging of a daemon: one JSON object per line on stdout, from `info` up.
///
/// # Errors
/// When logging was set up before in this process.
pub fn daemon() -> Result<(), LogError> {
    let layer = fmt::layer().json().flatten_event(true).with_writer(io::stdout).with_filter(filter("info"));
    Registry::default().with(layer).try_init().map_err(LogError::Twice)
}

fn to_file<S>(file: LogFile, format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    match format {
        LogFormat::Text => {
            fmt::layer().with_writer(file).with_ansi(false).with_filter(filter("debug")).boxed()
        }
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_writer(file).with_filter(filter("debug")).boxed()
        }
    }
}

/// Ours from `level` up; of the libraries (HTTP, TLS and so on) only what needs attention, because their own
/// details may hold tokens.
fn filter(level: &str) -> EnvFilter {
    // What this one tells comes to us as an error as well.
    let ours = format!("warn,kube_client=off,metalk8s={level}");
    EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("METALK8S_LOG")
        .try_from_env()
        .unwrap_or_else(|_| EnvFilter::new(ours))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::{LogFile, LogFormat, to_file};

    #[test]
    fn the_log_is_private_appended_to_and_opened_by_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/bootstrap.log");
        LogFile::open(&path).unwrap().opening("bootstrap").unwrap();
        LogFile::open(&path).unwrap().opening("bootstrap").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("--- bootstrap started on ") && text.ends_with(" ---\n"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn json_lines_hold_our_fields_and_no_details_of_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let file = LogFile::open(folder.path().join("log")).unwrap();
        let subscriber = Registry::default().with(to_file(file.clone(), LogFormat::Json));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "metalk8s_engine::apply", node = "n1", "did not answer");
            tracing::info!(target: "hyper", "authorization: token");
        });
        let line: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
        assert_eq!((line["node"].as_str(), line["message"].as_str()), (Some("n1"), Some("did not answer")));
    }

    #[test]
    fn a_log_that_cannot_be_opened_names_its_path() {
        let error = LogFile::open("/proc/none/x.log").unwrap_err();
        assert_eq!(error.to_string(), "could not open the log file `/proc/none/x.log`");
    }
}
