//! Files that are block devices, by losetup(8).

use std::{fs, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError, state::LoopDevice};

use crate::{
    Host,
    doing::Doing,
    files::{
        draft::{Draft, Name},
        owner::Numbers,
    },
};

const LOSETUP: &str = "losetup";

/// What stands where the file of a loop device is wished.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A file of so many bytes.
    File(u64),
    /// Such as a directory.
    Other,
}

pub(crate) async fn check(host: &Host, wish: &LoopDevice) -> Result<Option<Change>, StateError> {
    let file = wish.file.display();
    let found = find(host, &wish.file)?;
    refuse(wish, &found)?;
    let summary = match (found, wish.size) {
        (Found::Nothing, Some(size)) => {
            format!("make {file}, {size} bytes that take no space yet, and attach it to a loop device")
        }
        _ if !devices(host, &wish.file).await?.is_empty() => return Ok(None),
        _ => format!("attach {file} to a loop device"),
    };
    Ok(Some(Change::new(ChangeKind::Create, summary)))
}

pub(crate) async fn apply(host: &Host, wish: &LoopDevice) -> Result<(), StateError> {
    let found = find(host, &wish.file)?;
    refuse(wish, &found)?;
    if found == Found::Nothing {
        let missing =
            || format!("`{}` is missing, and no size is given to make it with", wish.file.display());
        make(host, &wish.file, wish.size.ok_or_else(|| StateError::new(missing()))?)?;
    }
    let program = host.program(LOSETUP).arg("--find").arg(host.path_for_programs(&wish.file)?);
    let attached = program.run().await;
    attached.doing(|| format!("could not attach `{}` to a loop device", wish.file.display()))?;
    Ok(())
}

pub(crate) async fn check_detached(host: &Host, file: &Path) -> Result<Option<Change>, StateError> {
    let devices = devices(host, file).await?;
    let change =
        || Change::new(ChangeKind::Remove, format!("detach {} from {}", file.display(), devices.join(", ")));
    Ok((!devices.is_empty()).then(change))
}

pub(crate) async fn detach(host: &Host, file: &Path) -> Result<(), StateError> {
    let doing = || format!("could not detach `{}`", file.display());
    for device in devices(host, file).await? {
        host.program(LOSETUP).args(["--detach", &device]).run().await.doing(doing)?;
    }
    let left = devices(host, file).await?;
    if left.is_empty() {
        return Ok(());
    }
    // The kernel says yes to that, too: LO_FLAGS_AUTOCLEAR in loop(4).
    let message =
        format!("{} is in use, and is detached when its last user is done with it", left.join(", "));
    Err(StateError::new(message))
}

/// What is there is somebody's data.
fn refuse(wish: &LoopDevice, found: &Found) -> Result<(), StateError> {
    let file = wish.file.display();
    match (found, wish.size) {
        (Found::Other, _) => Err(StateError::new(format!("`{file}` is no file"))),
        (Found::File(found), Some(size)) if *found != size => {
            Err(StateError::new(format!("`{file}` has {found} bytes and not {size}, and is left as it is")))
        }
        (Found::File(_) | Found::Nothing, _) => Ok(()),
    }
}

fn find(host: &Host, file: &Path) -> Result<Found, StateError> {
    match fs::metadata(host.real(file)?) {
        Ok(found) if found.is_file() => Ok(Found::File(found.len())),
        Ok(_) => Ok(Found::Other),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error).doing(|| format!("could not look at `{}`", file.display())),
    }
}

fn make(host: &Host, file: &Path, size: u64) -> Result<(), StateError> {
    let write = |path: &Path| {
        let mut draft = Draft::begin(path, Name::Usual)?;
        draft.file().set_len(size)?;
        draft.commit(Numbers { mode: 0o600, uid: None, gid: None })
    };
    write(&host.real(file)?).doing(|| format!("could not make `{}`", file.display()))
}

/// The loop devices of a file: the kernel knows it by its number, so another one of its name counts for nothing.
async fn devices(host: &Host, file: &Path) -> Result<Vec<String>, StateError> {
    if find(host, file)? == Found::Nothing {
        return Ok(Vec::new());
    }
    let program = host.program(LOSETUP).args(["--noheadings", "--output", "NAME", "--associated"]);
    let listed = program.arg(host.path_for_programs(file)?).run().await;
    let listed = listed.doing(|| format!("could not list the loop devices of `{}`", file.display()))?;
    Ok(listed.stdout.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::{Lab, chain, mode};

    const DISK: &str = "/var/lib/disks/one";
    /// losetup(8), which keeps what is attached in a file of `device file`.
    const PROGRAM: &str = r#"
        list=$ROOT/attached; touch "$list"
        case "$1" in
        --find) echo "/dev/loop$(wc -l < "$list") $2" >> "$list" ;;
        --detach) [ -e "$ROOT/in-use" ] || sed -i "\|^$2 |d" "$list" ;;
        --noheadings) awk -v file="$5" '$2 == file { print $1 }' "$list" ;;
        *) exit 1 ;;
        esac"#;

    fn lab() -> Lab {
        let lab = Lab::new();
        lab.program(LOSETUP, PROGRAM);
        lab
    }

    fn disk(size: Option<u64>) -> State {
        State::LoopDevice(LoopDevice { file: DISK.into(), size })
    }

    fn gone() -> State {
        State::Removed(Removed::LoopDevice { file: DISK.into() })
    }

    #[tokio::test]
    async fn a_missing_file_is_made_of_nothing_and_attached_once() {
        let lab = lab();
        let change = lab.settles(&disk(Some(1 << 40))).await;
        assert_eq!(
            change.summary,
            "make /var/lib/disks/one, 1099511627776 bytes that take no space yet, and attach it to a loop device"
        );
        let found = fs::metadata(lab.path(DISK)).unwrap();
        assert_eq!((found.len(), found.blocks(), mode(&lab.path(DISK))), (1 << 40, 0, 0o600));
        assert_eq!(lab.names("/var/lib/disks"), ["one"]);
        assert_eq!(lab.calls().iter().filter(|call| call.contains("--find")).count(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_there_is_attached_as_it_is_and_stays_when_it_is_detached() {
        let lab = lab();
        lab.file(DISK, "data");
        let change = lab.settles(&disk(Some(4))).await;
        assert_eq!(change.summary, "attach /var/lib/disks/one to a loop device");
        let change = lab.settles(&gone()).await;
        assert_eq!(change.summary, "detach /var/lib/disks/one from /dev/loop0");
        assert_eq!(lab.text(DISK), "data");
        lab.settles(&disk(None)).await;
    }

    #[tokio::test]
    async fn a_file_of_another_size_is_left_as_it_is() {
        let lab = lab();
        lab.file(DISK, "data");
        let error = lab.check(&disk(Some(5))).await.unwrap_err();
        assert_eq!(error.to_string(), "`/var/lib/disks/one` has 4 bytes and not 5, and is left as it is");
        let wish = LoopDevice { file: DISK.into(), size: Some(5) };
        assert!(apply(&lab.host, &wish).await.is_err());
        assert_eq!((lab.text(DISK).as_str(), lab.calls()), ("data", Vec::new()));
    }

    #[tokio::test]
    async fn a_missing_file_without_a_size_and_a_directory_are_errors() {
        let lab = lab();
        let wish = LoopDevice { file: DISK.into(), size: None };
        let error = apply(&lab.host, &wish).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/var/lib/disks/one` is missing, and no size is given to make it with"
        );
        fs::create_dir_all(lab.path(DISK)).unwrap();
        let error = lab.check(&disk(Some(5))).await.unwrap_err();
        assert_eq!(error.to_string(), "`/var/lib/disks/one` is no file");
    }

    #[tokio::test]
    async fn a_device_in_use_is_told() {
        let lab = lab();
        lab.settles(&disk(Some(1))).await;
        lab.file("/in-use", "");
        let error = detach(&lab.host, Path::new(DISK)).await.unwrap_err();
        assert_eq!(chain(&error), "/dev/loop0 is in use, and is detached when its last user is done with it");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_has_no_device() {
        assert_eq!(lab().check(&gone()).await.unwrap(), None);
    }
}
