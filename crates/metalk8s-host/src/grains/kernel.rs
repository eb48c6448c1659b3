//! What the kernel tells in /proc.

use metalk8s_types::grains::Cgroup;

/// Logical processors in /proc/cpuinfo; at least one.
pub(super) fn cpus(cpuinfo: &str) -> u32 {
    let count =
        cpuinfo.lines().filter(|line| line.split(':').next().map(str::trim) == Some("processor")).count();
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// Bytes of memory in /proc/meminfo, which counts in KiB.
pub(super) fn memory(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// The hierarchy that containers get: the unified one only where it stands alone.
pub(super) fn cgroup(mounts: &str) -> Cgroup {
    let unified = fields(mounts).any(|(path, kind, _)| path == "/sys/fs/cgroup" && kind == "cgroup2");
    if unified { Cgroup::V2 } else { Cgroup::V1 }
}

/// Whether systemd keeps its own hierarchy of the first kind.
pub(super) fn has_systemd_hierarchy(mounts: &str) -> bool {
    fields(mounts).any(|(_, kind, options)| {
        kind == "cgroup" && options.split(',').any(|option| option == "name=systemd")
    })
}

/// Path, type and options of each mount.
fn fields(mounts: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?, words.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_control_groups_count_as_the_first_kind() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n";
        assert_eq!(cgroup(hybrid), Cgroup::V1);
        assert!(has_systemd_hierarchy(hybrid));
        assert_eq!(cgroup("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"), Cgroup::V2);
    }

    #[test]
    fn processors_and_memory_are_counted() {
        assert_eq!(cpus("processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n"), 2);
        assert_eq!(memory("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), 24_689_764 * 1024);
    }
}
