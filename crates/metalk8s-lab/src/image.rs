//! The image of a bare machine: built once per recipe and computer, then kept in the cache.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use metalk8s_diagnostics::{Diagnose, Durations, Hint, Progress, RunningStep};
use tempfile::TempDir;

use crate::{
    cache::{Cache, CacheError},
    mirror::{self, Mirror},
    podman::{Podman, PodmanError},
    process::{self, RunError},
};

pub mod recipe;

const FOLDER: &str = "machine";
const WORK: &str = "work-";
const DEADLINE: Duration = Duration::from_secs(1800);
/// Older images and root folders that nothing uses are removed when a new one is made.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// The long steps, as their durations are kept, and the seconds that they took where they were tried.
const PACKAGES: (&str, u64) = ("machine-packages", 75);
const IMPORT: (&str, u64) = ("machine-image", 8);

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The cache cannot be used.
    #[error("could not use the cache")]
    Cache(#[from] CacheError),
    /// The container engine refused.
    #[error("could not look up or import the machine image")]
    Podman(#[from] PodmanError),
    /// The computer's package sources have nothing for the machines.
    #[error("no package source of this computer has Debian `{suite}`")]
    NoMirror {
        /// The release that is needed.
        suite: &'static str,
    },
    /// A program of the build could not be run.
    #[error("could not {what}")]
    Run {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A program of the build failed.
    #[error("could not {what}: `{program}` ended with {code}: {end}")]
    Failed {
        /// What was to be done.
        what: &'static str,
        /// Which program.
        program: String,
        /// Its exit code.
        code: i32,
        /// The last lines that it printed.
        end: String,
    },
    /// A file of the root folder could not be written.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for ImageError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::NoMirror { suite } => vec![
                format!("name one that has it: `METALK8S_MIRROR=<address> ./lab up` (main of `{suite}`)")
                    .into(),
            ],
            Self::Run { .. } => vec!["`scripts/doors/prepare` installs what is missing".into()],
            _ => Vec::new(),
        }
    }
}

/// Gives the image's name, after building or importing it where that is needed.
pub fn ensure(
    podman: &Podman,
    cache: &Cache,
    durations: &Durations,
    progress: &Progress,
) -> Result<String, ImageError> {
    let key = recipe::key();
    let image = format!("localhost/metalk8s-machine:{key}");
    if podman.exists("image", &image)? {
        return Ok(image);
    }
    let _lock =
        cache.lock("machine-image", |_| progress.say("another lab builds the machine image, waiting"))?;
    if podman.exists("image", &image)? {
        return Ok(image);
    }
    let folder = cache.folder(FOLDER)?;
    let packages = folder.join(format!("packages-{}.tar", recipe::packages_key()));
    if !packages.exists() {
        let (name, guess) = PACKAGES;
        let seconds = durations.of(name, guess);
        let step = progress.step(format!("Building the root folder of a machine, once (about {seconds} s)"));
        let started = Instant::now();
        let work = work_folder(&folder)?;
        let unpacked = fetch_packages(work.path(), &step)?;
        pack(&unpacked, &packages, &step)?;
        step.done();
        durations.remember(name, started.elapsed());
    }
    let (name, guess) = IMPORT;
    let seconds = durations.of(name, guess);
    let step = progress.step(format!("Importing the machine image (about {seconds} s)"));
    let started = Instant::now();
    let work = work_folder(&folder)?;
    let root = empty_root(work.path())?;
    let mut untar = Command::new("tar");
    untar.args(["--extract", "--numeric-owner", "--preserve-permissions", "--file"]).arg(&packages);
    run("unpack the root folder", untar.arg("--directory").arg(&root), None, &step)?;
    recipe::ADDITIONS.iter().try_for_each(|addition| add(&root, addition))?;
    let link = root.join(recipe::ENABLED.0);
    let enable = || -> io::Result<()> {
        fs::create_dir_all(link.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        symlink(recipe::ENABLED.1, &link)
    };
    enable().map_err(|source| ImageError::Write { path: link.clone(), source })?;
    let whole = work.path().join("image.tar");
    pack(&root, &whole, &step)?;
    let import = ["import", "--quiet", "--change", "LABEL com.metalk8s.image=machine"];
    podman.run(import.map(OsStr::new).into_iter().chain([whole.as_os_str(), image.as_ref()]))?;
    step.done();
    durations.remember(name, started.elapsed());
    remove_old(podman, &folder, &packages)?;
    Ok(image)
}

/// Images and root folders of former recipes that nothing has needed for a month.
fn remove_old(podman: &Podman, folder: &Path, current: &Path) -> Result<(), ImageError> {
    let hours = format!("until={}h", UNUSED.as_secs() / 3600);
    let label = "label=com.metalk8s.image=machine";
    podman.run(["image", "prune", "--all", "--force", "--filter", label, "--filter", &hours])?;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let age =
            entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if path != current && age.is_some_and(|age| age > UNUSED) && path.is_file() {
            fs::remove_file(&path).map_err(|source| ImageError::Write { path, source })?;
        }
    }
    Ok(())
}

/// A folder that goes away with its value; one that a crash left goes away now.
fn work_folder(folder: &Path) -> Result<TempDir, ImageError> {
    let make = || -> io::Result<TempDir> {
        for left in fs::read_dir(folder)?.flatten() {
            if left.file_name().as_encoded_bytes().starts_with(WORK.as_bytes()) {
                fs::remove_dir_all(left.path())?;
            }
        }
        tempfile::Builder::new().prefix(WORK).tempdir_in(folder)
    };
    make().map_err(|source| ImageError::Write { path: folder.to_owned(), source })
}

/// The work folder is closed to all but root, which a machine's root folder must not be.
fn empty_root(work: &Path) -> Result<PathBuf, ImageError> {
    let root = work.join("root");
    fs::create_dir(&root)
        .and_then(|()| fs::set_permissions(&root, fs::Permissions::from_mode(0o755)))
        .map_err(|source| ImageError::Write { path: root.clone(), source })?;
    Ok(root)
}

fn fetch_packages(work: &Path, step: &RunningStep) -> Result<PathBuf, ImageError> {
    let root = empty_root(work)?;
    let mirror = source_of_packages()?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase").arg(format!("--include={}", recipe::PACKAGES.join(",")));
    if let Some(keyring) = &mirror.keyring {
        debootstrap.arg(format!("--keyring={keyring}"));
    }
    debootstrap.arg(recipe::SUITE).arg(&root).arg(&mirror.url);
    run("fetch the packages of a machine", &mut debootstrap, None, step)?;
    let mut finish = Command::new("chroot");
    finish.arg(&root).args(["/bin/bash", "-s"]);
    run("set up the root folder of a machine", &mut finish, Some(recipe::FINISH), step)?;
    Ok(root)
}

/// Packs a root folder; the file appears whole.
fn pack(root: &Path, archive: &Path, step: &RunningStep) -> Result<(), ImageError> {
    let unfinished = root.with_extension("tar.unfinished");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&unfinished);
    tar.args(["--numeric-owner", "--one-file-system", "--sort=name", "--directory"]).arg(root).arg(".");
    run("pack the root folder", &mut tar, None, step)?;
    fs::rename(&unfinished, archive).map_err(|source| ImageError::Write { path: archive.to_owned(), source })
}

fn source_of_packages() -> Result<Mirror, ImageError> {
    if let Ok(url) = std::env::var("METALK8S_MIRROR") {
        return Ok(Mirror { url, keyring: None });
    }
    mirror::find(recipe::SUITE, Path::new("/etc/apt")).ok_or(ImageError::NoMirror { suite: recipe::SUITE })
}

fn add(root: &Path, addition: &recipe::Addition) -> Result<(), ImageError> {
    let path = root.join(addition.path);
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // It may be a link, which must not be followed out of the root folder.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::write(&path, addition.contents)?;
        let mode = if addition.is_program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    };
    write().map_err(|source| ImageError::Write { path: path.clone(), source })
}

fn run(
    what: &'static str,
    command: &mut Command,
    input: Option<&str>,
    step: &RunningStep,
) -> Result<(), ImageError> {
    let input = input.map(|text| text.as_bytes().to_vec());
    let output = process::stream(command, input, DEADLINE, &mut |_, line| step.note(line))
        .map_err(|source| ImageError::Run { what, source })?;
    if output.success() {
        return Ok(());
    }
    // debootstrap tells its errors on its standard output.
    let said = format!("{}{}", output.stdout, output.stderr);
    let lines: Vec<_> = said.lines().collect();
    Err(ImageError::Failed {
        what,
        program: command.get_program().to_string_lossy().into_owned(),
        code: output.code,
        end: lines[lines.len().saturating_sub(5)..].join("\n"),
    })
}
