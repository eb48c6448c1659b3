//! Software that would fight with ours over sockets, files and packages (PRE-02, PRE-03).

use metalk8s_diagnostics::explain;

use super::{Finding, Observed};

/// Units that conflict, by what they are.
pub(super) const CONFLICTING: [(&str, &str); 14] = [
    ("docker.service", "another container runtime"),
    ("containerd.service", "another container runtime"),
    ("crio.service", "another container runtime"),
    ("cri-docker.service", "another container runtime"),
    ("kubelet.service", "another Kubernetes"),
    ("k3s.service", "another Kubernetes"),
    ("k3s-agent.service", "another Kubernetes"),
    ("k0scontroller.service", "another Kubernetes"),
    ("rke2-server.service", "another Kubernetes"),
    ("snap.microk8s.daemon-kubelite.service", "another Kubernetes"),
    ("etcd.service", "another etcd"),
    ("puppet.service", "another configuration manager"),
    ("chef-client.service", "another configuration manager"),
    ("salt-minion.service", "another configuration manager"),
];

/// Units of our own packages under the same names.
const OURS: [&str; 3] = ["containerd.service", "kubelet.service", "salt-minion.service"];

pub(super) fn check(observed: &Observed, findings: &mut Vec<Finding>) {
    if !observed.systemd {
        let message = "systemd does not answer, and services of a node are its units";
        let hint = "Boot the machine with systemd; `systemctl is-system-running` must answer.";
        findings.push(Finding::error(explain::HOST_TOOL_MISSING, message).hint(hint));
    }
    for unit in &observed.units {
        let Some((_, what)) = CONFLICTING.iter().find(|(name, _)| *name == unit.name) else { continue };
        if observed.already_begun && OURS.contains(&unit.name.as_str()) {
            continue;
        }
        let state = if unit.active { "runs" } else { "is installed" };
        let message = format!("`{}` {state}, which is {what}", unit.name);
        let disable = format!("`systemctl disable --now {}`, and remove its package.", unit.name);
        findings.push(if unit.name == "salt-minion.service" {
            // The bootstrap stops and disables it, as documented (BOOT-12).
            let hint = "The bootstrap stops and disables it. Its package goes when that of our agent comes; dnf does not \
                        remove it by itself: `dnf remove salt-minion` does.";
            Finding::warning(explain::CONFLICTING_SOFTWARE, message).hint(hint)
        } else if unit.active {
            Finding::error(explain::CONFLICTING_SOFTWARE, message).hint(disable)
        } else {
            Finding::warning(explain::CONFLICTING_SOFTWARE, message).hint(disable)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::{Unit, testing};

    fn software(already_begun: bool, units: &[(&str, bool)]) -> Vec<String> {
        let units =
            units.iter().map(|(name, active)| Unit { name: (*name).into(), active: *active }).collect();
        let mut findings = Vec::new();
        check(&Observed { already_begun, units, ..testing::observed() }, &mut findings);
        findings.iter().map(|finding| format!("{:?} {}", finding.severity, finding.message)).collect()
    }

    #[test]
    fn what_runs_is_an_error_and_what_is_only_installed_a_warning() {
        assert_eq!(
            software(false, &[("docker.service", true), ("crio.service", false), ("ssh.service", true)]),
            [
                "Error `docker.service` runs, which is another container runtime",
                "Warning `crio.service` is installed, which is another container runtime",
            ]
        );
    }

    #[test]
    fn a_salt_minion_is_stopped_by_us_and_therefore_no_error() {
        assert!(software(false, &[("salt-minion.service", true)])[0].starts_with("Warning"));
    }

    #[test]
    fn our_own_units_are_no_conflict_once_the_bootstrap_has_begun() {
        let units = [("containerd.service", true), ("kubelet.service", true), ("docker.service", true)];
        assert_eq!(software(true, &units).len(), 1);
        assert_eq!(software(false, &units).len(), 3);
    }

    #[test]
    fn a_machine_without_systemd_is_told_so() {
        let mut findings = Vec::new();
        check(&Observed { systemd: false, ..testing::observed() }, &mut findings);
        assert_eq!(findings[0].code, explain::HOST_TOOL_MISSING);
    }
}
