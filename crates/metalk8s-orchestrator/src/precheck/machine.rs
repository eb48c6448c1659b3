//! System, kernel, size, name and clock of the machine.

use std::collections::BTreeSet;

use jiff::Timestamp;
use metalk8s_diagnostics::explain;
use metalk8s_types::{BootstrapConfiguration, Grains, Role, grains::OsFamily};

use super::{Finding, Observed};

const GIB: u64 = 1024 * 1024 * 1024;
const GB: u64 = 1_000_000_000;

/// A size: processors and bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    cpus: u32,
    memory: u64,
}

/// What the control plane cannot do without, and what no node can.
const LEAST_OF_MASTER: Size = Size { cpus: 2, memory: 2 * GIB };
const LEAST: Size = Size { cpus: 1, memory: GIB };

/// What every node needs, in tenths of a processor and in MB, and what its roles need beside that (constants.md,
/// section 13).
const OF_EVERY_NODE: (u32, u64) = (2, 500);
const OF_ROLES: [(Role, u32, u64); 4] =
    [(Role::Bootstrap, 10, 2000), (Role::Etcd, 5, 1000), (Role::Infra, 5, 2000), (Role::Master, 5, 1000)];
/// The safety margin of the same section is a half.
const MARGIN: (u64, u64) = (3, 2);

/// The root partition of the same table.
const GOOD_DISK: u64 = 40 * GB;
/// Unpacked images, logs and etcd's data of the first days.
const LEAST_FREE_DISK: u64 = 5 * GB;

/// What the kernel itself takes never shows up as memory of the machine, so a machine of 2 GiB has less.
const KERNEL_SHARE_PERCENT: u64 = 10;

/// The oldest kernel that Kubernetes 1.35 is tested with (k8s.io/system-validators).
const LEAST_KERNEL: (u32, u32) = (4, 19);

/// No machine is bootstrapped before this program was written.
const EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

pub(super) fn check(
    grains: &Grains,
    configuration: &BootstrapConfiguration,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    if !observed.root {
        findings.push(Finding::error(explain::NOT_ROOT, "the bootstrap is not run as root"));
    }
    findings.extend(operating_system(grains));
    findings.extend(kernel(grains));
    findings.extend(control_groups(observed));
    let (least, good) = sizes(&observed.roles);
    findings.extend(processors(grains.cpus, least.cpus, good.cpus));
    findings.extend(memory(grains.memory_bytes, least.memory, good.memory));
    disk(grains, observed, findings);
    name(&grains.hostname, &configuration.ca_minion, observed, findings);
    findings.extend(clock(observed.now, observed.time_synchronised));
}

fn operating_system(grains: &Grains) -> Option<Finding> {
    let os = &grains.os;
    let major = os.version.split('.').next().unwrap_or_default();
    let supported = match os.family {
        OsFamily::Debian => (os.id.as_str(), major) == ("debian", "12"),
        OsFamily::RedHat => matches!(major, "8" | "9"),
        OsFamily::Other => false,
    };
    let name = if os.pretty_name.is_empty() { &os.id } else { &os.pretty_name };
    (!supported).then(|| Finding::error(explain::OS_UNSUPPORTED, format!("this machine runs {name}")))
}

fn kernel(grains: &Grains) -> Option<Finding> {
    let release = &grains.kernel;
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // Enterprise Linux 8 calls its kernel 4.18, but brings it what newer ones have.
    let is_backported = release.contains(".el8") && version == (4, 18);
    let (major, minor) = LEAST_KERNEL;
    (version < LEAST_KERNEL && !is_backported).then(|| {
        let message = format!("the kernel is {release}, and {major}.{minor} is the oldest that works");
        Finding::error(explain::KERNEL_TOO_OLD, message)
    })
}

fn control_groups(observed: &Observed) -> Option<Finding> {
    let missing: Vec<&str> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|wanted| !observed.cgroup_controllers.iter().any(|there| there == wanted))
        .collect();
    (!missing.is_empty()).then(|| {
        let message = format!("these controllers of control groups are missing: {}", missing.join(", "));
        Finding::error(explain::NO_CGROUPS, message)
    })
}

/// What a node of these roles cannot do without, and what is recommended. Pure.
fn sizes(roles: &BTreeSet<Role>) -> (Size, Size) {
    let is_master = roles.contains(&Role::Master) || roles.contains(&Role::Bootstrap);
    let least = if is_master { LEAST_OF_MASTER } else { LEAST };
    let (mut tenths, mut megabytes) = OF_EVERY_NODE;
    for (_, cpu, memory) in OF_ROLES.iter().filter(|(role, ..)| roles.contains(role)) {
        tenths += cpu;
        megabytes += memory;
    }
    let (times, of) = MARGIN;
    let cpus = u64::from(tenths) * times / of / 10;
    let good = Size {
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX).max(least.cpus),
        memory: (megabytes * times / of * (GB / 1000)).max(least.memory),
    };
    (least, good)
}

fn processors(cpus: u32, least: u32, good: u32) -> Option<Finding> {
    if cpus < least {
        let message = format!("the machine has {cpus} processor(s), and at least {least} are needed");
        Some(Finding::error(explain::TOO_FEW_CPUS, message))
    } else if cpus < good {
        let message = format!("the machine has {cpus} processors, and {good} are recommended");
        Some(Finding::warning(explain::TOO_FEW_CPUS, message))
    } else {
        None
    }
}

fn memory(bytes: u64, least: u64, good: u64) -> Option<Finding> {
    let usable = |size: u64| size / 100 * (100 - KERNEL_SHARE_PERCENT);
    let has = gib(bytes);
    if bytes < usable(least) {
        let message = format!("the machine has {has} of memory, and at least {} are needed", gib(least));
        Some(Finding::error(explain::TOO_LITTLE_MEMORY, message))
    } else if bytes < usable(good) {
        let message = format!("the machine has {has} of memory, and {} are recommended", gib(good));
        Some(Finding::warning(explain::TOO_LITTLE_MEMORY, message))
    } else {
        None
    }
}

fn disk(grains: &Grains, observed: &Observed, findings: &mut Vec<Finding>) {
    let (free, total) = (grains.disk.free_bytes, grains.disk.total_bytes);
    // What a bootstrap that goes on has used already is not needed once more.
    if free < LEAST_FREE_DISK && !observed.already_begun {
        let message =
            format!("{} are free below /var/lib, and at least {} are needed", gb(free), gb(LEAST_FREE_DISK));
        findings.push(Finding::error(explain::TOO_LITTLE_DISK, message));
    } else if total < GOOD_DISK {
        let message =
            format!("the file system of /var/lib has {}, and {} are recommended", gb(total), gb(GOOD_DISK));
        findings.push(Finding::warning(explain::TOO_LITTLE_DISK, message));
    }
}

fn name(hostname: &str, wanted: &str, observed: &Observed, findings: &mut Vec<Finding>) {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&hostname.len())
        && hostname.bytes().all(good)
        && !hostname.starts_with('-')
        && !hostname.ends_with('-');
    if !is_label {
        let message = format!("the host name `{}` is no DNS label", hostname.escape_debug());
        findings.push(Finding::error(explain::BAD_HOSTNAME, message));
    } else if hostname == "localhost" {
        let message = "the host name is `localhost`, which every machine has";
        findings.push(Finding::error(explain::BAD_HOSTNAME, message));
    }
    if hostname == wanted {
        return;
    }
    let is_called = hostname.escape_debug();
    findings.push(if observed.roles.contains(&Role::Bootstrap) {
        let message = format!("`ca.minion` is `{wanted}`, but this machine is `{is_called}`");
        let hint =
            "Write this machine's host name as `ca.minion`, or run the bootstrap on the machine it names.";
        Finding::error(explain::CONFIG_BAD_VALUE, message).hint(hint)
    } else {
        let message = format!("its Node is called `{wanted}`, but the machine is `{is_called}`");
        let hint =
            format!("Call the machine so (`hostnamectl set-hostname {wanted}`), or name the Node after it.");
        Finding::error(explain::BAD_HOSTNAME, message).hint(hint)
    });
}

fn clock(now: Timestamp, synchronised: Option<bool>) -> Option<Finding> {
    if now < EARLIEST {
        let message = format!("the clock says {now}, which is before this program was made");
        Some(Finding::error(explain::CLOCK_WRONG, message))
    } else if synchronised == Some(false) {
        Some(Finding::warning(explain::CLOCK_WRONG, "the clock is not synchronised with others"))
    } else {
        None
    }
}

fn gib(bytes: u64) -> String {
    tenths(bytes, GIB, "GiB")
}

fn gb(bytes: u64) -> String {
    tenths(bytes, GB, "GB")
}

/// With one digit behind the point, rounded down: a size that is too small never looks large enough.
fn tenths(bytes: u64, unit: u64, name: &str) -> String {
    format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10).max(1) % 10)
}

#[cfg(test)]
mod tests {
    use metalk8s_types::grains::Disk;

    use super::*;
    use crate::precheck::{Severity, testing};

    fn machine(change: impl FnOnce(&mut Grains, &mut Observed)) -> Vec<Finding> {
        let (mut grains, mut observed) = (testing::grains(), testing::observed());
        change(&mut grains, &mut observed);
        let mut findings = Vec::new();
        check(&grains, &testing::configuration(), &observed, &mut findings);
        findings
    }

    #[track_caller]
    fn only(findings: Vec<Finding>, severity: Severity, code: &str) -> String {
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!((findings[0].severity, findings[0].code.as_str()), (severity, code));
        findings[0].message.clone()
    }

    #[test]
    fn a_good_machine_has_no_findings() {
        assert_eq!(machine(|_, _| {}), []);
    }

    #[test]
    fn only_root_can_bootstrap() {
        only(machine(|_, observed| observed.root = false), Severity::Error, "MK1001");
    }

    #[test]
    fn supported_systems_are_those_with_packages() {
        let os = |id: &str, version: &str, family| {
            machine(|grains, _| {
                grains.os.id = id.into();
                grains.os.version = version.into();
                grains.os.family = family;
            })
        };
        for (id, version, family) in [
            ("debian", "12", OsFamily::Debian),
            ("rocky", "8.10", OsFamily::RedHat),
            ("rhel", "9.4", OsFamily::RedHat),
        ] {
            assert_eq!(os(id, version, family), [], "{id} {version}");
        }
        for (id, version, family) in [
            ("debian", "11", OsFamily::Debian),
            ("ubuntu", "24.04", OsFamily::Debian),
            ("centos", "7", OsFamily::RedHat),
            ("arch", "", OsFamily::Other),
        ] {
            only(os(id, version, family), Severity::Error, "MK1201");
        }
    }

    #[test]
    fn kernels_from_4_19_on_work_and_that_of_enterprise_linux_8_too() {
        let kernel = |release: &str| machine(|grains, _| grains.kernel = release.into());
        for release in
            ["4.19.0", "5.14.0-427.el9.x86_64", "6.18.44-fc-v657", "10.0", "4.18.0-553.el8_10.x86_64"]
        {
            assert_eq!(kernel(release), [], "{release}");
        }
        for release in ["3.10.0-1062.4.1.el7.x86_64", "4.18.0-generic", "4.4.0", "unknown"] {
            let message = only(kernel(release), Severity::Error, "MK1202");
            assert!(message.contains(release) && message.contains("4.19"), "{message}");
        }
    }

    #[test]
    fn missing_controllers_are_named() {
        let findings = machine(|_, observed| observed.cgroup_controllers.retain(|name| name == "cpu"));
        assert!(only(findings, Severity::Error, "MK1213").ends_with("memory, pids"));
    }

    #[test]
    fn processors_are_needed_and_more_are_recommended() {
        let cpus = |count| machine(|grains, _| grains.cpus = count);
        only(cpus(1), Severity::Error, "MK1203");
        only(cpus(2), Severity::Warning, "MK1203");
        assert_eq!(cpus(4), []);
    }

    #[test]
    fn memory_is_needed_and_more_is_recommended() {
        let memory = |bytes| machine(|grains, _| grains.memory_bytes = bytes);
        let message = only(memory(GIB), Severity::Error, "MK1204");
        assert_eq!(message, "the machine has 1.0 GiB of memory, and at least 2.0 GiB are needed");
        only(memory(2 * GIB - 150_000_000), Severity::Warning, "MK1204");
        let message = only(memory(8 * GIB), Severity::Warning, "MK1204");
        assert_eq!(message, "the machine has 8.0 GiB of memory, and 9.0 GiB are recommended");
        assert_eq!(memory(10 * GIB), []);
    }

    #[test]
    fn a_worker_may_be_smaller_than_a_master() {
        let size = |roles: &[Role]| sizes(&roles.iter().copied().collect());
        let size_of = |cpus, memory| Size { cpus, memory };
        assert_eq!(size(&[Role::Node]), (LEAST, LEAST));
        assert_eq!(size(&[Role::Etcd]), (LEAST, size_of(1, 2_250_000_000)));
        let master = [Role::Master, Role::Etcd, Role::Infra];
        assert_eq!(size(&master), (LEAST_OF_MASTER, size_of(2, 6_750_000_000)));
        assert_eq!(size(&crate::pillar::BOOTSTRAP_ROLES).1, size_of(4, 9_750_000_000));
        let worker = machine(|grains, observed| {
            (grains.cpus, grains.memory_bytes) = (1, GIB);
            observed.roles = [Role::Node].into();
        });
        assert_eq!(worker, []);
    }

    #[test]
    fn free_space_is_needed_only_by_a_bootstrap_that_begins() {
        let disk = |total_bytes, free_bytes, already_begun| {
            machine(|grains, observed| {
                grains.disk = Disk { total_bytes, free_bytes };
                observed.already_begun = already_begun;
            })
        };
        let message = only(disk(100 * GB, 4_990_000_000, false), Severity::Error, "MK1206");
        assert_eq!(message, "4.9 GB are free below /var/lib, and at least 5.0 GB are needed");
        assert_eq!(disk(100 * GB, GB, true), []);
        only(disk(30 * GB, 20 * GB, false), Severity::Warning, "MK1206");
    }

    #[test]
    fn the_host_name_is_a_dns_label() {
        for name in ["Bootstrap", "a_b", "-a", "a.b", "", "localhost", &"a".repeat(64), "a\n"] {
            let findings = machine(|grains, _| grains.hostname = name.into());
            assert_eq!(findings[0].code.as_str(), "MK1207", "{name:?}");
            assert!(!findings[0].message.contains('\n'));
        }
    }

    #[test]
    fn the_authorities_are_on_this_machine() {
        let findings = machine(|grains, _| grains.hostname = "other".into());
        let message = only(findings, Severity::Error, "MK1105");
        assert_eq!(message, "`ca.minion` is `bootstrap`, but this machine is `other`");
    }

    #[test]
    fn a_clock_in_the_past_is_wrong_and_one_that_runs_alone_is_told() {
        let clock = |now: &str, synchronised| {
            machine(|_, observed| {
                observed.now = now.parse().unwrap();
                observed.time_synchronised = synchronised;
            })
        };
        only(clock("1970-01-01T00:05:00Z", Some(true)), Severity::Error, "MK1212");
        only(clock("2026-11-21T00:00:00Z", Some(false)), Severity::Warning, "MK1212");
        assert_eq!(clock("2026-11-21T00:00:00Z", None), []);
    }
}
