//! What each node shall be: at first, and afterwards.

use anyhow::Result;
use metalk8s_types::Role;

use super::{Stage, by_sudo};
use crate::suite::expand::{apply, node_manifest};

/// What a node shall be: its Node manifest has roles and taints as the manual prints them for each combination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) name: &'static str,
    pub(super) roles: &'static [Role],
    pub(super) taints: &'static [Role],
}

const BOOTSTRAP: Wish = Wish {
    name: "bootstrap",
    roles: &[Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master],
    taints: &[Role::Bootstrap, Role::Infra],
};
/// Each machine but the Bootstrap node, in the order in which they join.
pub(super) const LAYOUT: [Wish; 5] = [
    Wish { name: "node1", roles: &[Role::Etcd, Role::Master], taints: &[Role::Master, Role::Etcd] },
    Wish { name: "node2", roles: &[Role::Etcd, Role::Master, Role::Node], taints: &[] },
    Wish { name: "node3", roles: &[Role::Node, Role::Infra], taints: &[] },
    Wish { name: "node4", roles: &[Role::Node], taints: &[] },
    Wish { name: "node5", roles: &[Role::Infra], taints: &[Role::Infra] },
];
/// How many of them are masters, and join one after the other; the others come together.
pub(super) const MASTERS: usize = 2;
/// What becomes of some of them: a master stays a member of etcd alone, and a worker becomes a master without one.
pub(super) const OTHERWISE: [Wish; 2] = [
    Wish { name: "node1", roles: &[Role::Etcd], taints: &[Role::Etcd] },
    Wish { name: "node4", roles: &[Role::Master], taints: &[Role::Master] },
];

/// Every node, the Bootstrap node first.
pub(super) fn nodes() -> Vec<Wish> {
    [BOOTSTRAP].into_iter().chain(LAYOUT).collect()
}

/// Every node after some were given other roles.
pub(super) fn otherwise() -> Vec<Wish> {
    let now = |node: Wish| OTHERWISE.into_iter().find(|wish| wish.name == node.name).unwrap_or(node);
    nodes().into_iter().map(now).collect()
}

impl Wish {
    /// Makes its Node object what it shall be; nothing is deployed by that.
    pub(super) fn apply(self, stage: &Stage) -> Result<()> {
        let host = stage.machine(self.name)?.control.to_string();
        apply(stage, &self.manifest(&node_manifest(stage, self.name, &host, self.roles)?)).map(drop)
    }

    /// The manual's manifest for its roles, with its taints and who enters it. Pure.
    fn manifest(self, without: &str) -> String {
        let mut manifest = without.to_owned();
        if self.name == by_sudo::NODE {
            manifest = by_sudo::entered(&manifest);
        }
        // Also where there are none: those of another manifest go.
        let taints: String = self
            .taints
            .iter()
            .map(|role| format!("\n  - effect: NoSchedule\n    key: {}", role.key()))
            .collect();
        let taints = if taints.is_empty() { " []".to_owned() } else { taints };
        manifest + &format!("spec:\n  taints:{taints}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_taints_of_the_manual_and_who_enters_the_machine() {
        let without = "metadata:\n  annotations:\n    metalk8s.scality.com/ssh-sudo: 'false'\n  labels:\n";
        let [node1, _, node3, ..] = LAYOUT;
        let manifest = node1.manifest(without);
        let taints = "spec:\n  taints:\n  - effect: NoSchedule\n    key: node-role.kubernetes.io/master\n  \
                      - effect: NoSchedule\n    key: node-role.kubernetes.io/etcd\n";
        assert_eq!(manifest, format!("{without}{taints}"));
        let manifest = node3.manifest(without);
        assert!(manifest.ends_with("  labels:\nspec:\n  taints: []\n"), "{manifest}");
        for line in ["ssh-sudo: 'true'", "ssh-user: deployer", "ssh-port: '2222'"] {
            assert!(manifest.contains(&format!("    metalk8s.scality.com/{line}\n")), "{manifest}");
        }
        assert!(!manifest.contains("'false'"), "{manifest}");
    }

    #[test]
    fn afterwards_etcd_has_as_many_members_as_before() {
        let members = |nodes: &[Wish]| nodes.iter().filter(|node| node.roles.contains(&Role::Etcd)).count();
        assert_eq!(members(&nodes()), 3);
        assert_eq!(members(&otherwise()), 3);
        let names = |nodes: Vec<Wish>| nodes.iter().map(|node| node.name).collect::<Vec<_>>();
        assert_eq!(names(nodes()), names(otherwise()));
    }
}
