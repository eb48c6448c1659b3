//! A machine on which nothing is wrong.

use metalk8s_types::{BootstrapConfiguration, Grains, fake};

use super::{ArchiveSeen, Observed};

pub(super) fn configuration() -> BootstrapConfiguration {
    let text = b"apiVersion: metalk8s.scality.com/v1alpha3\n\
                 kind: BootstrapConfiguration\n\
                 networks: {controlPlane: {cidr: 10.200.1.0/28}, workloadPlane: {cidr: 10.200.2.0/28}}\n\
                 ca: {minion: bootstrap}\n\
                 archives: [/archives/metalk8s.iso]\n";
    BootstrapConfiguration::parse(text).unwrap()
}

pub(super) fn grains() -> Grains {
    fake::grains("bootstrap", &["10.200.1.2/28", "10.200.2.2/28"])
}

pub(super) fn observed() -> Observed {
    Observed {
        root: true,
        already_begun: false,
        version: "1.0.0".into(),
        roles: crate::pillar::BOOTSTRAP_ROLES.into(),
        listeners: Vec::new(),
        units: Vec::new(),
        accounts: Vec::new(),
        systemd: true,
        routes: Vec::new(),
        cgroup_controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
        now: "2026-11-21T00:00:00Z".parse().unwrap(),
        time_synchronised: Some(true),
        archives: vec![ArchiveSeen { path: "/archives/metalk8s.iso".into(), version: Ok("1.0.0".into()) }],
    }
}

#[test]
fn nothing_speaks_against_a_good_machine() {
    assert_eq!(super::precheck(&grains(), &configuration(), &observed()), []);
}
