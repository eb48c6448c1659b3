//! Disks that are too small from the beginning, or become so.

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Diagnosed;

use super::{bare_machine, finishes, refusal::Refusal};
use crate::{
    install,
    machine::Machine,
    process::Output,
    suite::{
        Stage,
        cluster::{bootstrap_sh, said},
    },
};

const DPKG: &str = "/var/lib/dpkg";
const ETCD: &str = "/var/lib/etcd";
/// What was in a folder before it had another disk, for as long as that takes.
const KEPT: &str = "/root/kept";

pub(super) fn too_small(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.run_checked(
        "cp --archive /var/lib /root/lib && mount -t tmpfs -o size=1G tmpfs /var/lib && cp --archive /root/lib/. /var/lib/",
    )?;
    Refusal { code: "MK1206", names: &["/var/lib"] }.of_bootstrap(machine)
}

/// Images, programs, configuration and dpkg's database each get a disk that is too small; then it is taken away.
pub(super) fn fills_up(stage: &Stage) -> Result<()> {
    let all: &[(&str, &str)] = &[("/var/lib/containerd", "64M"), ("/opt", "8M"), ("/etc/kubernetes", "32k")];
    let some = if stage.options.full { all } else { &all[..1] };
    for (folder, size) in some {
        let machine = bare_machine(stage)?;
        small_disk(machine, folder, size)?;
        let output = bootstrap_sh(machine, "")?;
        ensure!(!output.success(), "{folder}: it ended well on {size}");
        is_told(folder, &output)?;
        take_away(machine, folder)?;
        finishes_after_reboot(stage, folder)?;
    }
    let mut places = some.len();
    if stage.options.full {
        let machine = bare_machine(stage)?;
        full_disk(machine, DPKG)?;
        let output = bootstrap_sh(machine, "")?;
        ensure!(!output.success(), "{DPKG}: it ended well on a full disk");
        is_told(DPKG, &output)?;
        machine.run_checked(&format!("cp --archive {DPKG} {KEPT}"))?;
        take_away(machine, DPKG)?;
        machine.run_checked(&format!("find {DPKG} -mindepth 1 -delete && {}", put_back(DPKG)))?;
        finishes_after_reboot(stage, DPKG)?;
        places += 1;
    }
    stage.note(format!("{places} places"));
    Ok(())
}

/// etcd tells of its disk in its own log alone, and what is waited for is the API server.
pub(super) fn no_etcd(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    // Less than the log that etcd allocates when it begins.
    small_disk(machine, ETCD, "16M")?;
    let output = bootstrap_sh(machine, "")?;
    ensure!(!output.success(), "it ended well");
    is_told(ETCD, &output)?;
    take_away(machine, ETCD)?;
    finishes_after_reboot(stage, ETCD)
}

/// Gives an empty folder a disk of its own.
fn small_disk(machine: &Machine, folder: &str, size: &str) -> Result<()> {
    machine.run_checked(&format!("mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}"))?;
    Ok(())
}

/// Gives a folder a disk of its own that holds what is there, and nothing else. A new tmpfs is sticky unless told
/// otherwise, and `cp` would leave that.
fn full_disk(machine: &Machine, folder: &str) -> Result<()> {
    machine.run_checked(&format!(
        "cp --archive {folder} {KEPT} && mount -t tmpfs -o size=1G,mode=755 tmpfs {folder} && {} && \
         used=$(df --output=used --block-size=1K {folder} | tail -n 1) && mount -o remount,size=$((used))k {folder}",
        put_back(folder)
    ))?;
    Ok(())
}

fn put_back(folder: &str) -> String {
    format!("cp --archive {KEPT}/. {folder}/ && rm --recursive {KEPT}")
}

/// The error says that a disk is full, and which.
fn is_told(folder: &str, output: &Output) -> Result<()> {
    Refusal { code: "MK1007", names: &[folder] }.is(output).with_context(|| folder.to_owned())?;
    ensure!(names_full_disk(folder, &output.stderr), "it does not name {folder} as full: {}", said(output));
    Ok(())
}

/// Whether a path below the folder stands where it says that there is no space, or in the lines before, of which
/// that is the cause.
fn names_full_disk(folder: &str, text: &str) -> bool {
    const BEFORE: usize = 3;
    let lines: Vec<_> = text.lines().collect();
    let mut full = lines.iter().enumerate().filter(|(_, line)| line.to_lowercase().contains("no space left"));
    full.any(|(at, _)| lines[at.saturating_sub(BEFORE)..=at].iter().any(|line| line.contains(folder)))
}

/// The folder is on the disk of the machine again, which has space.
fn take_away(machine: &Machine, folder: &str) -> Result<()> {
    machine
        .run_checked(&format!(
            "systemctl stop kubelet containerd 2> /dev/null; \
             for process in /proc/[0-9]*; do [ \"$(readlink $process/ns/pid)\" = \"$(readlink /proc/1/ns/pid)\" ] || kill -9 ${{process#/proc/}} 2> /dev/null; done; \
             awk '$2 ~ \"^{folder}(/|$)\" {{ print $2 }}' /proc/mounts | sort -r | xargs -r umount --lazy"
        ))
        .with_context(|| format!("{folder} cannot be given more space"))?;
    Ok(())
}

fn finishes_after_reboot(stage: &Stage, folder: &str) -> Result<()> {
    stage.lab.bootstrap()?.reboot()?;
    stage.lab.networks.join()?;
    install::mount(&stage.lab).map_err(Diagnosed::new)?;
    finishes(stage).with_context(|| format!("after {folder} was full"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_by_a_path_that_stands_with_the_words() {
        let dpkg = "cause: `apt-get install` ended with exit status 100: unable to flush \
                    /var/lib/dpkg/updates/tmp.i after padding: No space left on device";
        let ours = "state `x`: could not write `/etc/kubernetes/admin.conf`\n  cause: No space left on device (os error 28)";
        assert!(names_full_disk(DPKG, dpkg) && names_full_disk("/etc/kubernetes", ours));
        assert!(!names_full_disk(ETCD, dpkg));
        let elsewhere = format!("looked at /opt\n1\n2\n3\n{ours}");
        assert!(!names_full_disk("/opt", &elsewhere));
        assert!(!names_full_disk("/opt", "could not write /opt/cni"));
    }
}
