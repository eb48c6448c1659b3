//! The members of etcd.

use std::collections::BTreeSet;

use metalk8s_diagnostics::explain::{
    ETCD_ALARM, ETCD_LEARNER, ETCD_MEMBER_SILENT, ETCD_NEARLY_FULL, ETCD_NO_LEADER,
};

use super::{
    super::{
        Area, Finding, Verdict,
        facts::{Etcd, Member},
    },
    count,
};

/// Parts of a hundred of its quota that a database has when it is nearly full.
const NEARLY_FULL: u64 = 80;

/// Whether every member answers, follows one leader, has a vote and has room, and whether there is an alarm.
pub(crate) fn etcd(etcd: &Etcd) -> Verdict {
    let Etcd { alarms, members } = etcd;
    let mut findings = Vec::new();
    let mut leaders = BTreeSet::new();
    for Member { name, id: _, is_learner, status } in members {
        if *is_learner {
            findings.push(Finding::warning(ETCD_LEARNER, name, "it only learns, and has no vote"));
        }
        match status {
            Err(why) => findings.push(Finding::error(ETCD_MEMBER_SILENT, name, why)),
            Ok(status) => {
                leaders.insert(status.leader.as_str());
                let used = status.size.saturating_mul(100).checked_div(status.quota).unwrap_or(0);
                if used >= NEARLY_FULL {
                    let message = format!("its database has {used} % of what it may have");
                    findings.push(Finding::warning(ETCD_NEARLY_FULL, name, message));
                }
            }
        }
    }
    let known = |leader: &&str| members.iter().any(|member| member.id == **leader);
    match leaders.iter().copied().collect::<Vec<_>>().as_slice() {
        // That nobody answers was said above.
        [] => {}
        [leader] if known(leader) => {}
        [_] => findings.push(Finding::error(ETCD_NO_LEADER, "etcd", "there is no leader")),
        _ => findings.push(Finding::error(ETCD_NO_LEADER, "etcd", "members follow different leaders")),
    }
    for (alarm, id) in alarms {
        let member = members.iter().find(|member| member.id == *id).map_or(id, |member| &member.name);
        findings.push(Finding::error(ETCD_ALARM, member, format!("alarm {alarm}")));
    }
    Verdict::new(Area::Etcd, count(members.len(), "member", "members"), findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::MemberStatus;

    fn member(id: &str, leader: &str, size: u64) -> Member {
        Member {
            name: format!("node-{id}"),
            id: id.into(),
            is_learner: false,
            status: Ok(MemberStatus { leader: leader.into(), size, quota: 100 }),
        }
    }

    fn codes(etcd: &Etcd) -> Vec<&'static str> {
        super::etcd(etcd).findings.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn members_with_one_leader_and_room_are_well() {
        let members = vec![member("1", "2", 79), member("2", "2", 5)];
        assert_eq!(codes(&Etcd { alarms: Vec::new(), members }), [""; 0]);
    }

    #[test]
    fn no_leader_two_leaders_a_full_database_a_silent_member_a_learner_and_an_alarm_are_found() {
        let none = Etcd { alarms: Vec::new(), members: vec![member("1", "0", 5)] };
        assert_eq!(codes(&none), [ETCD_NO_LEADER.as_str()]);
        let two = Etcd { alarms: Vec::new(), members: vec![member("1", "1", 5), member("2", "2", 5)] };
        assert_eq!(codes(&two), [ETCD_NO_LEADER.as_str()]);
        let full = Etcd { alarms: vec![("NOSPACE".into(), "1".into())], members: vec![member("1", "1", 80)] };
        assert_eq!(codes(&full), [ETCD_NEARLY_FULL.as_str(), ETCD_ALARM.as_str()]);
        let silent = Member { status: Err("no answer".into()), ..member("2", "1", 5) };
        let learner = Member { is_learner: true, ..member("3", "1", 5) };
        let others = Etcd { alarms: Vec::new(), members: vec![member("1", "1", 5), silent, learner] };
        assert_eq!(codes(&others), [ETCD_MEMBER_SILENT.as_str(), ETCD_LEARNER.as_str()]);
    }
}
