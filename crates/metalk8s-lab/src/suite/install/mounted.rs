//! File systems and block devices that are no part of the product, such as a disk for etcd.

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

/// A sparse file becomes a block device once, which holds a file system, and is a file again.
pub(super) fn a_file_is_a_block_device(stage: &Stage) -> Result<()> {
    const FILE: &str = "/root/one.img";
    let machine = stage.lab.bootstrap()?;
    // A machine without udev does not show devices that the kernel has made since its start.
    machine.run_checked(
        "free=$(losetup --find); test -e $free || mknod --mode 660 $free b 7 ${free#/dev/loop}",
    )?;
    let state =
        |words: &str| machine.run_checked(&format!("salt-call --local state.single {words} --out json"));
    let seen = || {
        let first = state(&format!("loop_device.attached {FILE} size=64Mi"))?;
        let blocks = machine.run_checked(&format!("stat --format '%s %b %a' {FILE}"))?;
        let second = state(&format!("loop_device.attached {FILE} size=64Mi"))?;
        let written = machine.run_checked(&format!(
            "device=$(losetup --noheadings --output NAME --associated {FILE}) && mkfs.ext4 -q $device && blkid --output value --match-tag TYPE $device"
        ))?;
        let other =
            machine.run(&format!("salt-call --local state.single loop_device.attached {FILE} size=65Mi"))?;
        let third = state(&format!("loop_device.detached {FILE}"))?;
        let left = machine.run_checked(&format!("losetup --associated {FILE}; stat --format %s {FILE}"))?;
        Ok::<_, anyhow::Error>((first, blocks, second, written, other, third, left))
    };
    let seen = seen();
    machine.run_checked(&format!(
        "losetup --noheadings --output NAME --associated {FILE} | xargs --no-run-if-empty losetup --detach; rm --force {FILE}"
    ))?;
    let (first, blocks, second, written, other, third, left) = seen?;
    ensure!(first.contains("bytes that take no space yet"), "{first}");
    ensure!(blocks.trim() == "67108864 0 600", "the file has size, blocks and mode {blocks}");
    ensure!(second.contains("\"changes\": {}"), "a second time changes something: {second}");
    ensure!(written.trim() == "ext4", "{written}");
    let told = format!("`{FILE}` has 67108864 bytes and not 68157440, and is left as it is");
    ensure!(!other.success() && other.stdout.contains(&told), "another size: {}", other.stdout);
    ensure!(third.contains(&format!("detach {FILE} from /dev/loop")), "{third}");
    ensure!(left.trim() == "67108864", "still attached, or not a file any more: {left}");
    Ok(())
}
