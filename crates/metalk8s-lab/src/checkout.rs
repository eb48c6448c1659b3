//! The checkout that this program was called from.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// What the front door says, or the nearest folder above that holds the table of versions.
pub(crate) fn root() -> Result<PathBuf> {
    if let Some(root) = env::var_os("METALK8S_CHECKOUT") {
        return Ok(PathBuf::from(root));
    }
    let here = env::current_dir().context("could not tell the current folder")?;
    let found = here.ancestors().find(|folder| folder.join("versions.toml").is_file());
    Ok(found.unwrap_or(&here).to_owned())
}
