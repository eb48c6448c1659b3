//! Facts of the host.

pub(crate) mod capabilities;
mod kernel;
mod network;
pub(crate) mod os;

use std::{io, path::Path};

use metalk8s_engine::StateError;
use metalk8s_types::{
    Grains,
    grains::{Cgroup, Disk},
};
use rustix::fs::statvfs;

use crate::{Host, host::first_existing, swap};

/// Why the facts of a host could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum GrainsError {
    /// A file that tells one could not be read.
    #[error("could not read a fact of this host")]
    Read(#[source] StateError),
    /// The kernel did not tell the addresses.
    #[error("could not list the addresses of this host")]
    Addresses(#[source] io::Error),
    /// The kernel did not tell the room.
    #[error("could not ask for the room below `/var/lib`")]
    Disk(#[source] io::Error),
}

impl Host {
    /// Collects the facts of this host. Reads only, runs no program and takes well below a millisecond.
    pub fn collect_grains(&self) -> Result<Grains, GrainsError> {
        let text =
            |path: &str| Ok(self.read_text(Path::new(path)).map_err(GrainsError::Read)?.unwrap_or_default());
        let status = text("/proc/self/status")?;
        let mounts = text("/proc/self/mounts")?;
        let cgroup = kernel::cgroup(&mounts);
        let container = self.is_container(&text("/run/systemd/container")?);
        let uname = rustix::system::uname();
        Ok(Grains {
            hostname: uname.nodename().to_string_lossy().into_owned(),
            os: os::read(self).map_err(GrainsError::Read)?,
            kernel: uname.release().to_string_lossy().into_owned(),
            cpus: kernel::cpus(&text("/proc/cpuinfo")?),
            memory_bytes: kernel::memory(&text("/proc/meminfo")?),
            cgroup,
            systemd_cgroups: self.exists(Path::new("/run/systemd/system"))
                && (cgroup == Cgroup::V2 || (!container && kernel::has_systemd_hierarchy(&mounts))),
            container,
            swap: swap::in_use(self).map_err(GrainsError::Read)?,
            selinux_enforcing: text("/sys/fs/selinux/enforce")?.trim() == "1",
            conntrack_writable: self.conntrack_is_writable(container),
            oom_score_adjustable: capabilities::has(&status, capabilities::CAP_SYS_RESOURCE),
            addresses: network::addresses().map_err(GrainsError::Addresses)?,
            nameservers: network::nameservers(&text("/etc/resolv.conf")?),
            disk: self.disk()?,
        })
    }

    /// systemd, podman and docker each leave their sign.
    fn is_container(&self, told_by_systemd: &str) -> bool {
        !told_by_systemd.trim().is_empty()
            || self.exists(Path::new("/run/.containerenv"))
            || self.exists(Path::new("/.dockerenv"))
    }

    /// Opening for writing tells: it fails on a read-only /proc/sys, and in a network namespace of its own.
    fn conntrack_is_writable(&self, container: bool) -> bool {
        let path = Path::new("/proc/sys/net/netfilter/nf_conntrack_max");
        let Ok(path) = self.real(path) else { return false };
        match std::fs::OpenOptions::new().write(true).open(path) {
            Ok(_) => true,
            // The module is not loaded yet. It will come, and only a container may not write to it then.
            Err(err) if err.kind() == io::ErrorKind::NotFound => !container,
            Err(_) => false,
        }
    }

    fn disk(&self) -> Result<Disk, GrainsError> {
        let path = self.real(Path::new("/var/lib")).map_err(GrainsError::Read)?;
        let found = statvfs(first_existing(&path)).map_err(|err| GrainsError::Disk(err.into()))?;
        Ok(Disk {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bfree.saturating_mul(found.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[test]
    fn this_machine_tells_its_facts() {
        let grains = Host::new().collect_grains().unwrap();
        assert!(!grains.hostname.is_empty() && !grains.kernel.is_empty());
        assert!(grains.cpus > 0 && grains.memory_bytes > 1 << 20);
        assert!(grains.disk.total_bytes >= grains.disk.free_bytes && grains.disk.total_bytes > 0);
        assert!(grains.addresses.iter().all(|address| address.interface != "lo"));
    }

    #[test]
    fn a_container_on_the_first_control_groups_is_told_apart_from_a_machine() {
        let lab = Lab::new();
        lab.file("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        lab.file("/run/systemd/system/x", "");
        lab.file("/proc/self/mounts", "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n");
        assert!(lab.host.collect_grains().unwrap().systemd_cgroups);
        lab.file("/run/systemd/container", "podman\n");
        let grains = lab.host.collect_grains().unwrap();
        assert!(grains.container && !grains.systemd_cgroups && !grains.conntrack_writable);
        lab.file("/proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        assert!(lab.host.collect_grains().unwrap().systemd_cgroups);
    }
}
