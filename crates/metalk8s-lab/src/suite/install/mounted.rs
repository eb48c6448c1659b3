//! A file system that somebody mounted, such as a disk for etcd.

use anyhow::{Result, ensure};

use crate::suite::Stage;

/// What is in it goes where it is to be absent, and it stays mounted; then there is nothing to do.
pub(super) fn stays_and_is_emptied(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    machine.run_checked(
        "mkdir /root/disk; mount -t tmpfs tmpfs /root/disk; mkdir /root/disk/member; touch /root/disk/member/wal",
    )?;
    let absent = || machine.run_checked("salt-call --local state.single file.absent /root/disk --out json");
    let (first, left, second) =
        (absent(), machine.run_checked("mountpoint /root/disk && ls /root/disk"), absent());
    machine.run_checked("umount /root/disk; rmdir /root/disk")?;
    let (first, left, second) = (first?, left?, second?);
    ensure!(first.contains("/root/disk"), "nothing was removed: {first}");
    ensure!(left.lines().count() == 1 && left.contains("is a mountpoint"), "{left}");
    ensure!(second.contains("\"changes\": {}"), "a second time changes something: {second}");
    Ok(())
}
