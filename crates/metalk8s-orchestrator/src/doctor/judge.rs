//! What facts mean. Pure: facts in, findings out.

mod cluster;
mod etcd;
mod machines;
mod reach;

pub(super) use cluster::{leases, nodes, pods, runs};
pub(super) use etcd::etcd;
pub(super) use machines::{addresses, agents, certificates, clocks, disks};
pub(super) use reach::{api_servers, dns, images};

use metalk8s_diagnostics::explain::CHECK_IMPOSSIBLE;

use super::{Area, Finding, Verdict, facts::Seen};

impl Verdict {
    fn new(area: Area, looked_at: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { area, looked_at: looked_at.into(), findings }
    }

    /// Judges what was seen; where nothing was, that is the finding.
    pub(super) fn of<T>(area: Area, seen: Seen<T>, judge: impl FnOnce(&T) -> Self) -> Self {
        match seen {
            Ok(facts) => judge(&facts),
            Err(why) => {
                let finding = Finding::warning(CHECK_IMPOSSIBLE, area.title(), why);
                Self::new(area, "nothing could be looked at", vec![finding])
            }
        }
    }
}

/// A number with its noun.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::Severity;

    #[test]
    fn what_could_not_be_looked_at_is_a_finding_and_nothing_else() {
        let seen: Seen<()> = Err("the API does not answer".into());
        let verdict = Verdict::of(Area::Pods, seen, |()| panic!("there is nothing to judge"));
        assert_eq!(verdict.findings.len(), 1);
        let finding = &verdict.findings[0];
        assert_eq!((finding.code, finding.severity), (CHECK_IMPOSSIBLE, Severity::Warning));
        assert!(!finding.todo.is_empty());
    }
}
