//! Disks that are too small from the beginning, or become so.

use anyhow::{Context, Result, ensure};

use super::{bare_machine, finishes, refusal::Refusal};
use crate::suite::{Stage, cluster::bootstrap_sh};

pub(super) fn too_small(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.run_checked(
        "cp --archive /var/lib /root/lib && mount -t tmpfs -o size=1G tmpfs /var/lib && cp --archive /root/lib/. /var/lib/",
    )?;
    Refusal { code: "MK1206", names: &["/var/lib"] }.of_bootstrap(machine)
}

/// Packages, images and etcd's data each get a disk that is too small; then it is taken away.
pub(super) fn fills_up(stage: &Stage) -> Result<()> {
    let all: &[(&str, &str)] = &[("/var/lib/containerd", "64M"), ("/opt", "8M"), ("/etc/kubernetes", "32k")];
    let some = if stage.options.full { all } else { &all[..1] };
    for (folder, size) in some {
        let machine = bare_machine(stage)?;
        machine.run_checked(&format!("mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}"))?;
        let output = bootstrap_sh(machine, "")?;
        ensure!(!output.success(), "{folder}: it ended well on {size}");
        Refusal { code: "MK1007", names: &[] }.is(&output).with_context(|| (*folder).to_owned())?;
        machine
            .run_checked(&format!(
                "systemctl stop kubelet containerd 2> /dev/null; \
                 for process in /proc/[0-9]*; do [ \"$(readlink $process/ns/pid)\" = \"$(readlink /proc/1/ns/pid)\" ] || kill -9 ${{process#/proc/}} 2> /dev/null; done; \
                 awk '$2 ~ \"^{folder}(/|$)\" {{ print $2 }}' /proc/mounts | sort -r | xargs -r umount --lazy"
            ))
            .with_context(|| format!("{folder} cannot be given more space"))?;
        machine.reboot()?;
        stage.lab.networks.join()?;
        crate::install::mount(&stage.lab).map_err(metalk8s_diagnostics::Diagnosed::new)?;
        finishes(stage).with_context(|| format!("after {folder} was full"))?;
    }
    stage.note(format!("{} places", some.len()));
    Ok(())
}
