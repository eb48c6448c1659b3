//! What every task may know: where things are, and which versions.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{settings::Settings, versions::Versions};

/// The surroundings of a build.
#[derive(Debug, Clone)]
pub struct Context {
    /// The root of the repository.
    pub root: PathBuf,
    /// Where the outputs go, `_build` by default.
    pub build_root: PathBuf,
    /// The cache shared by all clones, `~/.cache/metalk8s` where nothing names another.
    pub cache: PathBuf,
    /// `versions.toml`.
    pub versions: Versions,
    /// `.env`.
    pub settings: Settings,
    /// Seconds since 1970 that stand in everything dated: `SOURCE_DATE_EPOCH`, else the commit's date, else 0.
    pub epoch: u64,
    /// The commit; empty without git.
    pub git: String,
}

impl Context {
    /// Finds everything, for the repository at `root`.
    pub fn find(root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().with_context(|| format!("there is no folder `{}`", root.display()))?;
        let versions = Versions::read(&root)?;
        let (ours, wanted) = (metalk8s_types::VERSION, &versions.product.version);
        if ours != wanted {
            bail!("versions.toml has the product version {wanted}, Cargo.toml has {ours}");
        }
        let settings = Settings::read(&root)?;
        let build_root = root.join(settings.get("BUILD_ROOT", "_build"));
        let git = |args: &[&str]| {
            let output =
                Command::new(settings.get("GIT_BIN", "git")).args(args).current_dir(&root).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.trim().to_owned())
        };
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is `{text}`, no number"))?,
            Err(_) => git(&["log", "-1", "--format=%ct"]).and_then(|text| text.parse().ok()).unwrap_or(0),
        };
        Ok(Self {
            build_root,
            cache: cache_folder()?,
            epoch,
            git: git(&["describe", "--long", "--always", "--tags", "--dirty"]).unwrap_or_default(),
            root,
            versions,
            settings,
        })
    }

    /// The product version.
    pub fn version(&self) -> &str {
        &self.versions.product.version
    }

    /// The tree that becomes the ISO.
    pub fn iso_root(&self) -> PathBuf {
        self.build_root.join("root")
    }
}

/// The folder that all clones share, as [`metalk8s_types::cache_folder`] finds it.
pub fn cache_folder() -> anyhow::Result<PathBuf> {
    metalk8s_types::cache_folder(|name| env::var_os(name))
        .context("neither METALK8S_CACHE, XDG_CACHE_HOME nor HOME says where the cache is")
}
