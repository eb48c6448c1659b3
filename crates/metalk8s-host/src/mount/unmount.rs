//! File systems that are not to be mounted.

use std::path::Path;

use metalk8s_engine::{Change, ChangeKind, StateError};

use super::{FSTAB, MOUNTS, Mounted, table};
use crate::{Host, doing::Doing, lines};

/// File systems mounted over one another; more than this is a loop of somebody who mounts again.
const MOST_LAYERS: usize = 16;

pub(crate) fn check_unmounted(
    host: &Host,
    target: &Path,
    forget: bool,
) -> Result<Option<Change>, StateError> {
    let (mounted, kept) = (is_mounted(host, target)?, forget && is_kept(host, target)?);
    let words = match (mounted, kept) {
        (false, false) => return Ok(None),
        (true, false) => "unmount",
        (true, true) => "unmount, now and at boot,",
        (false, true) => "no longer mount at boot",
    };
    Ok(Some(Change::new(ChangeKind::Remove, format!("{words} {}", target.display()))))
}

pub(crate) async fn unmount(host: &Host, target: &Path, forget: bool) -> Result<(), StateError> {
    if forget {
        lines::edit(host, Path::new(FSTAB), |text| table::without(text, target))?;
    }
    let doing = || format!("could not unmount `{}`", target.display());
    for _ in 0..MOST_LAYERS {
        if !is_mounted(host, target)? {
            return Ok(());
        }
        host.program("umount").arg(target).run().await.doing(doing)?;
    }
    if is_mounted(host, target)? {
        return Err(StateError::new(format!("`{}` is mounted again and again", target.display())));
    }
    Ok(())
}

fn is_mounted(host: &Host, target: &Path) -> Result<bool, StateError> {
    let text = host.read_text(Path::new(MOUNTS))?.unwrap_or_default();
    Ok(text.lines().filter_map(Mounted::parse).any(|mounted| mounted.target == target))
}

fn is_kept(host: &Host, target: &Path) -> Result<bool, StateError> {
    let text = host.read_text(Path::new(FSTAB))?.unwrap_or_default();
    Ok(table::without(&text, target) != text)
}
