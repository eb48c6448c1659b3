//! Mounted file systems and their lines of /etc/fstab.

mod table;
mod unmount;

use std::path::{Path, PathBuf};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Mount};
use table::{Entry, Mounted};
pub(crate) use unmount::{check_unmounted, unmount};

use crate::{Host, doing::Doing, files::make_directories, lines, service};

const FSTAB: &str = "/etc/fstab";
const MOUNTS: &str = "/proc/self/mountinfo";
const ISO: &str = "iso9660";

/// Where something is mounted, in the order in which it was.
pub(crate) fn targets(host: &Host) -> Result<Vec<PathBuf>, StateError> {
    let text = host.read_text(Path::new(MOUNTS))?.unwrap_or_default();
    Ok(text.lines().filter_map(Mounted::parse).map(|mounted| mounted.target).collect())
}

/// Where something is mounted at boot.
pub(crate) fn kept_targets(host: &Host) -> Result<Vec<PathBuf>, StateError> {
    let text = host.read_text(Path::new(FSTAB))?.unwrap_or_default();
    Ok(text.lines().filter_map(table::target).collect())
}

/// What stands at the target.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Right,
    /// Right but for being writable or not.
    OtherMode,
    Wrong(PathBuf),
    /// From the right path, but an older image of that name, or one that cannot be read any more.
    Replaced,
    Nothing,
}

pub(crate) fn check(host: &Host, wish: &Mount) -> Result<Option<Change>, StateError> {
    let (source, target) = (wish.source.display(), wish.target.display());
    let mounted = top(host, wish)?;
    let change = match find(host, wish, mounted.as_ref())? {
        Found::Nothing => Change::new(ChangeKind::Create, format!("mount {source} at {target}")),
        Found::OtherMode => Change::new(
            ChangeKind::Update,
            format!("mount {target} {}", if wishes_ro(wish) { "read-only" } else { "writable" }),
        ),
        Found::Wrong(before) => Change {
            before: Some(before.display().to_string()),
            after: Some(source.to_string()),
            ..Change::new(ChangeKind::Update, format!("mount {source} at {target} in the place of another"))
        },
        Found::Replaced => Change::new(
            ChangeKind::Update,
            format!("mount {source} at {target} again: other contents are there"),
        ),
        Found::Right
            if is_kept(host, &entry(wish, mounted.as_ref().is_some_and(Mounted::is_fuse)), wish)? =>
        {
            return Ok(None);
        }
        Found::Right => Change::new(ChangeKind::Update, format!("mount {target} at boot")),
    };
    Ok(Some(change))
}

pub(crate) async fn apply(host: &Host, wish: &Mount) -> Result<(), StateError> {
    let doing = || format!("could not mount `{}` at `{}`", wish.source.display(), wish.target.display());
    let mounted = top(host, wish)?;
    let found = find(host, wish, mounted.as_ref())?;
    let by_fuse = match &mounted {
        Some(mounted) if found == Found::Right => mounted.is_fuse(),
        _ => wish.fs_type == ISO && needs_fuse(host).await?,
    };
    let entry = entry(wish, by_fuse);
    let by_systemd = wish.persistent && host.exists(Path::new("/run/systemd/system"));
    if wish.persistent {
        let written = lines::edit(host, Path::new(FSTAB), |text| table::with_entry(text, &entry))?;
        // Also where a killed run wrote the line, and systemd may not have read it.
        if by_systemd && (written || matches!(found, Found::Nothing | Found::Wrong(_) | Found::Replaced)) {
            service::reload(host).await?;
        }
    }
    match found {
        Found::Right => return Ok(()),
        Found::OtherMode => {
            let mode = if wishes_ro(wish) { "remount,ro" } else { "remount,rw" };
            host.program("mount").args(["-o", mode]).arg(&wish.target).run().await.doing(doing)?;
            return Ok(());
        }
        Found::Wrong(before) => make_room(host, wish, &before).await?,
        Found::Replaced => make_room(host, wish, &wish.source).await?,
        Found::Nothing => {}
    }
    make_directories(&host.real(&wish.target)?).doing(doing)?;
    if by_systemd {
        // The process of a FUSE mount then belongs to systemd's unit: it lives on when we end.
        let output =
            host.program("systemd-escape").args(["--path", "--suffix=mount"]).arg(&wish.target).run().await;
        let unit = output.doing(doing)?.stdout.trim().to_owned();
        host.program("systemctl").args(["start", &unit]).run().await.doing(doing)?;
    } else {
        host.program("mount")
            .args(["-t", &entry.fs_type, "-o", &table::options_for_mount(&entry.options)])
            .arg(&wish.source)
            .arg(&wish.target)
            .run()
            .await
            .doing(doing)?;
    }
    Ok(())
}

async fn make_room(host: &Host, wish: &Mount, before: &Path) -> Result<(), StateError> {
    let mut program = host.program("umount");
    if wish.fs_type == ISO {
        // This program may itself have been started from there, and nothing is lost that was not written yet.
        program = program.args(["--lazy"]);
    }
    let doing = || format!("could not unmount `{}` from `{}`", before.display(), wish.target.display());
    program.arg(&wish.target).run().await.doing(doing)?;
    Ok(())
}

/// The topmost mount at the target.
fn top(host: &Host, wish: &Mount) -> Result<Option<Mounted>, StateError> {
    let text = host.read_text(Path::new(MOUNTS))?.unwrap_or_default();
    Ok(text.lines().filter_map(Mounted::parse).rfind(|mounted| mounted.target == wish.target))
}

fn find(host: &Host, wish: &Mount, mounted: Option<&Mounted>) -> Result<Found, StateError> {
    let Some(mounted) = mounted else { return Ok(Found::Nothing) };
    let is_bind = wish.options.iter().any(|option| option == "bind" || option == "rbind");
    let right_type = is_bind
        || wish.fs_type == "auto"
        || mounted.fs_type == wish.fs_type
        || (wish.fs_type == ISO && mounted.is_fuse());
    let source = backing(host, mounted)?;
    // A tag such as `UUID=...`, a bind and a FUSE program without a name say nothing to compare.
    let comparable = !is_bind && wish.source.is_absolute() && source.is_absolute();
    if !right_type || (comparable && !same_path(host, &source, &wish.source)) {
        return Ok(Found::Wrong(source));
    }
    if let Some((path, text)) = &wish.holds
        && !matches!(host.read_text(&wish.target.join(path)), Ok(Some(found)) if found == *text)
    {
        return Ok(Found::Replaced);
    }
    Ok(if mounted.read_only == wishes_ro(wish) { Found::Right } else { Found::OtherMode })
}

/// The device, or the file behind a loop device.
fn backing(host: &Host, mounted: &Mounted) -> Result<PathBuf, StateError> {
    if let Some(device) =
        mounted.source.strip_prefix("/dev/").ok().filter(|name| name.to_string_lossy().starts_with("loop"))
    {
        let path = Path::new("/sys/block").join(device).join("loop/backing_file");
        if let Some(file) = host.read_text(&path)? {
            return Ok(PathBuf::from(file.trim_end()));
        }
    }
    Ok(mounted.source.clone())
}

fn same_path(host: &Host, one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| host.real(path).and_then(|path| path.canonicalize().doing(String::new)).ok();
    one == other || matches!((resolved(one), resolved(other)), (Some(one), Some(other)) if one == other)
}

/// Images of optical discs are never writable, whatever their options say.
fn wishes_ro(wish: &Mount) -> bool {
    wish.fs_type == ISO || wish.options.iter().any(|option| option == "ro")
}

/// Some kernels, such as those of small virtual machines, cannot read ISO images; fuseiso can.
async fn needs_fuse(host: &Host) -> Result<bool, StateError> {
    let kernel_can = || -> Result<bool, StateError> {
        let known = host.read_text(Path::new("/proc/filesystems"))?.unwrap_or_default();
        Ok(known.lines().any(|line| line.split_whitespace().next_back() == Some(ISO)))
    };
    if kernel_can()? {
        return Ok(false);
    }
    let loaded = host.program("modprobe").args(["--quiet", ISO]).succeeds().await;
    if loaded.doing(|| format!("could not load the kernel module `{ISO}`"))? && kernel_can()? {
        return Ok(false);
    }
    if host.has_program("fuseiso") {
        return Ok(true);
    }
    Err(StateError::new("the kernel cannot read ISO images, and `fuseiso`, which could, is not installed"))
}

/// The line of fstab.
fn entry(wish: &Mount, by_fuse: bool) -> Entry {
    if !by_fuse {
        let options =
            if wish.options.is_empty() { vec!["defaults".to_owned()] } else { wish.options.clone() };
        return Entry {
            source: wish.source.clone(),
            target: wish.target.clone(),
            fs_type: wish.fs_type.clone(),
            options,
        };
    }
    // The container runtime and the repositories' pod read it too, as other users.
    let mut options = vec!["ro".to_owned(), "allow_other".to_owned()];
    options.extend(wish.options.iter().filter(|option| *option == "nofail").cloned());
    let source = wish.source.to_string_lossy();
    if !source.contains([',', '\\']) {
        // So that the list of mounts says which image this is.
        options.push(format!("fsname={source}"));
    }
    Entry {
        source: wish.source.clone(),
        target: wish.target.clone(),
        fs_type: "fuse.fuseiso".to_owned(),
        options,
    }
}

fn is_kept(host: &Host, entry: &Entry, wish: &Mount) -> Result<bool, StateError> {
    if !wish.persistent {
        return Ok(true);
    }
    let text = host.read_text(Path::new(FSTAB))?.unwrap_or_default();
    Ok(table::with_entry(&text, entry) == text)
}

#[cfg(test)]
mod tests;
