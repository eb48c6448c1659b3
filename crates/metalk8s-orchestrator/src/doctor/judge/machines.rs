//! Agents, clocks, addresses, disks and certificates of machines.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use metalk8s_diagnostics::explain::{
    ADDRESS_DIFFERS, AGENT_SILENT, AUTHORITY_ENDS, CERTIFICATE_LATE, CHECK_IMPOSSIBLE, CLOCK_APART,
    DISK_NEARLY_FULL, ISSUING_AUTHORITY_DUE, UNIT_STOPPED,
};

use super::{
    super::{
        Area, Finding, Verdict,
        facts::{Known, Machines, Told},
        machine::{Folder, MachineHealth},
    },
    count,
};
use crate::{
    certificates::{CertificateSeen, Standing},
    precheck::Severity,
};

/// How far clocks may be apart: kubelets, leases and the members of etcd live with that.
const APART: SignedDuration = SignedDuration::from_secs(2);
/// From where on certificates and leases are in danger.
const FAR_APART: SignedDuration = SignedDuration::from_secs(30);
/// Parts of a hundred that are used when a file system is nearly full, and when it is about to stop the node: the
/// kubelet evicts pods at 90 and 95 (kubelet, `evictionHard`).
const NEARLY_FULL: u64 = 85;
const FULL: u64 = 95;

/// Whether each agent answers, and what it says of units.
pub(crate) fn agents(machines: &Machines) -> Verdict {
    let mut findings = Vec::new();
    for (node, health) in &machines.health {
        match health {
            Err(why) => findings.push(Finding::error(AGENT_SILENT, node, why)),
            Ok(told) => {
                for unit in told.value.units.iter().filter(|unit| !unit.runs) {
                    let message = format!("{} does not run", unit.name);
                    findings.push(Finding::error(UNIT_STOPPED, node, message));
                }
                let is_running =
                    told.value.units.iter().any(|unit| unit.name == "kubelet.service" && unit.runs);
                if is_running && !told.value.kubelet_is_well {
                    let message = "the kubelet runs, and does not say that it is well";
                    findings.push(Finding::error(UNIT_STOPPED, node, message));
                }
            }
        }
    }
    Verdict::new(Area::Agents, count(machines.health.len(), "machine", "machines"), findings)
}

/// Whether clocks agree with the one where the doctor runs.
pub(crate) fn clocks(machines: &Machines) -> Verdict {
    let mut findings = Vec::new();
    let mut compared = 0;
    for (node, told) in answered(machines) {
        compared += 1;
        let apart = apart(told);
        if apart > APART {
            let ahead = told.value.now > told.heard;
            let message =
                format!("its clock is {} s {}", apart.as_secs(), if ahead { "ahead" } else { "behind" });
            let finding = Finding::warning(CLOCK_APART, node, message);
            findings.push(with(finding, apart > FAR_APART));
        }
    }
    Verdict::new(Area::Clocks, format!("{} against this one", count(compared, "clock", "clocks")), findings)
}

/// How far a clock must be from ours at least: it was read somewhere between question and answer.
fn apart(told: &Told<MachineHealth>) -> SignedDuration {
    let now = told.value.now;
    let ahead = now.duration_since(told.heard);
    let behind = told.asked.duration_since(now);
    ahead.max(behind).max(SignedDuration::ZERO)
}

/// Whether machines have the addresses by which they are known.
pub(crate) fn addresses(machines: &Machines, known: &Known) -> Verdict {
    let mut findings = Vec::new();
    for (node, told) in answered(machines) {
        let own = &told.value.addresses;
        let empty = BTreeSet::new();
        let of_agent = known.agent.get(node).unwrap_or(&empty);
        let of_node = known.node.get(node).unwrap_or(&empty);
        let gone: Vec<&IpAddr> = of_agent.union(of_node).filter(|address| !own.contains(address)).collect();
        if !gone.is_empty() {
            let message = format!("the machine has not {}", listed(gone));
            findings.push(Finding::error(ADDRESS_DIFFERS, node, message));
        }
        let foreign: Vec<&IpAddr> = of_node.difference(of_agent).collect();
        if !of_agent.is_empty() && !foreign.is_empty() {
            let message = format!("its Node has {}, which its agent's object does not name", listed(foreign));
            findings.push(Finding::warning(ADDRESS_DIFFERS, node, message));
        }
    }
    let looked_at = format!("of {}", count(answered(machines).count(), "machine", "machines"));
    Verdict::new(Area::Addresses, looked_at, findings)
}

/// Whether the file systems that matter have room.
pub(crate) fn disks(machines: &Machines) -> Verdict {
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for (node, told) in answered(machines) {
        for folder in &told.value.folders {
            looked_at += 1;
            let Folder { path, bytes, free_bytes, inodes, free_inodes } = folder;
            for (what, all, free) in [("space", *bytes, *free_bytes), ("inodes", *inodes, *free_inodes)] {
                let Some(used) = used(all, free).filter(|used| *used >= NEARLY_FULL) else { continue };
                let message = format!("{used} % of the {what} of {} is used", path.display());
                findings.push(with(Finding::warning(DISK_NEARLY_FULL, node, message), used >= FULL));
            }
        }
    }
    Verdict::new(Area::Disks, count(looked_at, "file system", "file systems"), findings)
}

/// Parts of a hundred that are used, rounded up; `None` where nothing is counted.
fn used(all: u64, free: u64) -> Option<u64> {
    let used = u128::from(all.saturating_sub(free)) * 100;
    (all > 0).then(|| u64::try_from(used.div_ceil(u128::from(all))).unwrap_or(100))
}

/// Whether certificates are valid and were renewed.
pub(crate) fn certificates(machines: &Machines, now: Timestamp) -> Verdict {
    let mut findings = Vec::new();
    let mut looked_at = 0;
    for (node, seen) in &machines.certificates {
        match seen {
            Err(why) => findings.push(Finding::warning(CHECK_IMPOSSIBLE, node, why)),
            Ok(certificates) => {
                looked_at += certificates.len();
                findings.extend(certificates.iter().filter_map(|certificate| judged(node, certificate, now)));
            }
        }
    }
    Verdict::new(Area::Certificates, count(looked_at, "certificate", "certificates"), findings)
}

fn judged(node: &str, certificate: &CertificateSeen, now: Timestamp) -> Option<Finding> {
    let subject = format!("{node}: {}", certificate.file.display());
    let end = certificate.validity.map(|validity| validity.end.to_string()).unwrap_or_default();
    let was_given = certificate.validity.is_some_and(|validity| validity.renewal.is_none());
    let waits = format!("it waits for the key of the root, and ends at {end}");
    Some(match certificate.standing(now) {
        Standing::Good => return None,
        Standing::Due if certificate.by_hand => Finding::warning(ISSUING_AUTHORITY_DUE, subject, waits),
        Standing::Late if certificate.by_hand => Finding::error(ISSUING_AUTHORITY_DUE, subject, waits),
        Standing::Due if !was_given => return None,
        Standing::Due => Finding::warning(AUTHORITY_ENDS, subject, format!("this authority ends at {end}")),
        Standing::Late => {
            Finding::error(CERTIFICATE_LATE, subject, format!("it was not renewed, and expires at {end}"))
        }
        Standing::Expired => {
            Finding::error(CERTIFICATE_LATE, subject, format!("it is not valid; end: {end}"))
        }
        Standing::Unreadable => Finding::error(CERTIFICATE_LATE, subject, "it cannot be read"),
    })
}

fn answered(machines: &Machines) -> impl Iterator<Item = (&String, &Told<MachineHealth>)> {
    machines.health.iter().filter_map(|(node, told)| Some((node, told.as_ref().ok()?)))
}

fn with(finding: Finding, is_error: bool) -> Finding {
    if is_error { Finding { severity: Severity::Error, ..finding } } else { finding }
}

fn listed(addresses: Vec<&IpAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{certificates::Validity, doctor::UnitHealth};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn healthy(now: Timestamp) -> MachineHealth {
        let unit = |name: &str| UnitHealth { name: name.into(), runs: true };
        MachineHealth {
            now,
            addresses: ["10.0.0.2".parse().unwrap(), "10.1.0.2".parse().unwrap()].into(),
            folders: vec![Folder {
                path: "/".into(),
                bytes: 1000,
                free_bytes: 500,
                inodes: 100,
                free_inodes: 90,
            }],
            units: vec![unit("containerd.service"), unit("kubelet.service")],
            kubelet_is_well: true,
        }
    }

    fn machines(health: MachineHealth) -> Machines {
        let told = Told { value: health, asked: at(0), heard: at(3) };
        Machines { health: BTreeMap::from([("node-1".to_owned(), Ok(told))]), ..Machines::default() }
    }

    fn told(verdict: &Verdict) -> Vec<(&str, Severity)> {
        verdict.findings.iter().map(|finding| (finding.message.as_str(), finding.severity)).collect()
    }

    #[test]
    fn a_healthy_machine_gives_no_finding() {
        let machines = machines(healthy(at(1)));
        for verdict in
            [agents(&machines), clocks(&machines), disks(&machines), addresses(&machines, &Known::default())]
        {
            assert_eq!(told(&verdict), [], "{:?}", verdict.area);
        }
    }

    #[test]
    fn a_clock_is_wrong_only_by_what_the_way_of_the_answer_cannot_explain() {
        assert_eq!(told(&clocks(&machines(healthy(at(5))))), []);
        assert_eq!(
            told(&clocks(&machines(healthy(at(13))))),
            [("its clock is 10 s ahead", Severity::Warning)]
        );
        assert_eq!(
            told(&clocks(&machines(healthy(at(-600))))),
            [("its clock is 600 s behind", Severity::Error)]
        );
    }

    #[test]
    fn a_stopped_unit_and_a_silent_agent_are_named() {
        let mut sick = healthy(at(1));
        sick.units[1].runs = false;
        sick.kubelet_is_well = false;
        assert_eq!(
            told(&agents(&machines(sick.clone()))),
            [("kubelet.service does not run", Severity::Error)]
        );
        sick.units[1].runs = true;
        assert_eq!(agents(&machines(sick)).findings[0].code, UNIT_STOPPED);
        let silent = Machines {
            health: BTreeMap::from([("node-1".to_owned(), Err("no answer".to_owned()))]),
            ..Machines::default()
        };
        assert_eq!(agents(&silent).findings[0].code, AGENT_SILENT);
    }

    #[test]
    fn a_disk_is_judged_by_space_and_by_inodes() {
        let mut full = healthy(at(1));
        full.folders[0] =
            Folder { path: "/var".into(), bytes: 1000, free_bytes: 150, inodes: 100, free_inodes: 1 };
        let expected = [
            ("85 % of the space of /var is used", Severity::Warning),
            ("99 % of the inodes of /var is used", Severity::Error),
        ];
        assert_eq!(told(&disks(&machines(full.clone()))), expected);
        let uncounted = Folder { inodes: 0, free_inodes: 0, free_bytes: 151, ..full.folders[0].clone() };
        full.folders = vec![uncounted];
        assert_eq!(told(&disks(&machines(full))), [("85 % of the space of /var is used", Severity::Warning)]);
    }

    #[test]
    fn an_address_that_the_machine_has_not_and_one_that_nobody_named_are_found() {
        let machines = machines(healthy(at(1)));
        let of = |agent: &[&str], node: &[&str]| {
            let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let known = Known {
                agent: BTreeMap::from([("node-1".to_owned(), set(agent))]),
                node: BTreeMap::from([("node-1".to_owned(), set(node))]),
            };
            addresses(&machines, &known).findings.len()
        };
        assert_eq!(of(&["10.0.0.2", "10.1.0.2"], &["10.0.0.2"]), 0);
        assert_eq!(of(&["10.0.0.9"], &[]), 1);
        assert_eq!(of(&["10.0.0.2"], &["10.1.0.2"]), 1);
    }

    #[test]
    fn a_late_certificate_is_an_error_and_an_ending_authority_a_warning() {
        let certificate = |renewal: Option<i64>, end| CertificateSeen {
            file: "/etc/x.crt".into(),
            used_by: "x".into(),
            subject: "CN=x".into(),
            issuer: "CN=y".into(),
            validity: Some(Validity { begin: at(0), end: at(end), renewal: renewal.map(at) }),
            restarts: false,
            by_hand: false,
        };
        let seen = Ok(vec![
            certificate(Some(2000), 3000),
            certificate(None, 300_000),
            certificate(Some(9000), 12_000),
            CertificateSeen { by_hand: true, ..certificate(Some(2400), 3600) },
            CertificateSeen { by_hand: true, ..certificate(Some(2000), 3000) },
        ]);
        let machines = Machines {
            certificates: BTreeMap::from([
                ("a".to_owned(), seen),
                ("b".to_owned(), Err("silent".to_owned())),
            ]),
            ..Machines::default()
        };
        let verdict = certificates(&machines, at(2500));
        let codes: Vec<_> = verdict.findings.iter().map(|finding| (finding.code, finding.severity)).collect();
        let expected = [
            (CERTIFICATE_LATE, Severity::Error),
            (AUTHORITY_ENDS, Severity::Warning),
            (ISSUING_AUTHORITY_DUE, Severity::Warning),
            (ISSUING_AUTHORITY_DUE, Severity::Error),
            (CHECK_IMPOSSIBLE, Severity::Warning),
        ];
        assert_eq!(codes, expected);
        assert_eq!(verdict.looked_at, "5 certificates");
    }
}
