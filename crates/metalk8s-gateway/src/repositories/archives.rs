use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::content;
use super::layout::{Layout, read_layout};
use super::open::{OpenError, Opened, open_archive, open_file};

/// For how long the images of an archive are answered from memory without a look at its index.
const FRESH: Duration = Duration::from_millis(250);
/// How often the root is looked through for archives that came or went.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The archives below the root. Names that are not known are looked up on disk at once.
#[derive(Debug)]
pub(super) struct Archives {
    root: PathBuf,
    known: RwLock<HashMap<String, Known>>,
    names: RwLock<BTreeSet<String>>,
    /// Held while an archive is read for the first time, so that it is read once.
    first_read: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    images: Images,
    checked: Instant,
}

/// What can be said about the images of an environment.
#[derive(Debug, Clone)]
pub(super) enum Images {
    /// There is no such archive, or it has no images.
    None,
    /// They cannot be read, which was logged.
    Unreadable,
    Layout(Arc<Layout>),
}

impl Archives {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            known: RwLock::default(),
            names: RwLock::default(),
            first_read: tokio::sync::Mutex::default(),
        }
    }

    /// The images of an environment, as they were at most [`FRESH`] ago.
    pub(super) async fn images(&self, environment: &str) -> Images {
        if let Some(images) = self.fresh(environment) {
            return images;
        }
        // Whoever finds it old reads it again; the others go on with what is known.
        if let Some(previous) = self.claim(environment) {
            return self.read(environment, Some(previous)).await;
        }
        match self.find(environment).await {
            Ok(()) => {}
            Err(OpenError::Absent) => return Images::None,
            Err(err) => {
                content::log_failure(&err);
                return Images::Unreadable;
            }
        }
        let _reading = self.first_read.lock().await;
        match self.fresh(environment) {
            Some(images) => images,
            None => self.read(environment, None).await,
        }
    }

    /// Opens a file of an environment.
    pub(super) async fn open(&self, environment: &str, relative: String) -> Result<Opened, OpenError> {
        let (root, environment) = (self.root.clone(), environment.to_owned());
        let path = root.join(&environment);
        tokio::task::spawn_blocking(move || open_file(&root, &environment, &relative))
            .await
            .unwrap_or_else(|err| Err(OpenError::Failed { path, source: std::io::Error::other(err) }))
    }

    /// Names of the archives, as they were when last looked for.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for archives that came or went, for ever.
    pub(super) async fn keep_looking(&self) {
        let mut interval = tokio::time::interval(LOOK_AGAIN);
        loop {
            interval.tick().await;
            self.look().await;
        }
    }

    /// Looks once.
    pub(super) async fn look(&self) {
        let root = self.root.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || list(&root)).await else { return };
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        for environment in found.difference(&names) {
            tracing::info!(environment, "an archive is served");
        }
        for environment in names.difference(&found) {
            tracing::info!(environment, "an archive is gone");
        }
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|environment, _| found.contains(environment));
        *names = found;
    }

    fn fresh(&self, environment: &str) -> Option<Images> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(environment)
            .filter(|known| known.checked.elapsed() < FRESH)
            .map(|known| known.images.clone())
    }

    fn claim(&self, environment: &str) -> Option<Images> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_mut(environment)?;
        known.checked = Instant::now();
        Some(known.images.clone())
    }

    /// Looks whether there is such an archive.
    async fn find(&self, environment: &str) -> Result<(), OpenError> {
        let (root, environment) = (self.root.clone(), environment.to_owned());
        let path = root.join(&environment);
        tokio::task::spawn_blocking(move || open_archive(&root, &environment).map(drop))
            .await
            .unwrap_or_else(|err| Err(OpenError::Failed { path, source: std::io::Error::other(err) }))
    }

    async fn read(&self, environment: &str, previous: Option<Images>) -> Images {
        let (root, name) = (self.root.clone(), environment.to_owned());
        let reading = tokio::task::spawn_blocking(move || read_images(&root, &name, previous));
        let images = reading.await.unwrap_or(Images::Unreadable);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(images, Images::None) {
            known.remove(environment);
        } else {
            known.insert(environment.to_owned(), Known { images: images.clone(), checked: Instant::now() });
        }
        images
    }
}

fn read_images(root: &Path, environment: &str, previous: Option<Images>) -> Images {
    let was_unreadable = matches!(previous, Some(Images::Unreadable));
    let previous = match &previous {
        Some(Images::Layout(layout)) => Some(layout),
        _ => None,
    };
    match read_layout(root, environment, previous) {
        Ok(Some(layout)) => Images::Layout(layout),
        Ok(None) => Images::None,
        Err(err) => {
            // Said once, not four times a second for as long as somebody asks.
            if !was_unreadable {
                tracing::error!(
                    environment,
                    error = &err as &dyn std::error::Error,
                    "the images of an archive cannot be read"
                );
            }
            Images::Unreadable
        }
    }
}

/// A root that cannot be read holds no archives; it may be mounted later.
fn list(root: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| open_archive(root, name).is_ok())
        .collect()
}
