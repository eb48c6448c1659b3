//! What differs from lab to lab, and how texts come to hold it.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::Ipv4Net;
use metalk8s_types::Role;

/// What is known of the product and of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The version under test.
    pub version: String,
    /// Name of the Bootstrap node.
    pub node: String,
    /// Name of the machine that is not part of the cluster.
    pub new_node: String,
    /// Its address in the control plane.
    pub new_node_ip: Ipv4Addr,
    /// The roles that it is given, in the order of its manifest.
    pub new_node_roles: Vec<Role>,
    /// How many members etcd has when it is part of the cluster.
    pub etcd_members: usize,
    /// The ISO on the Bootstrap node.
    pub iso: String,
    /// An ISO of another version on the Bootstrap node.
    pub other_iso: String,
    /// Its version.
    pub other_version: String,
    /// Address of the Bootstrap node in the control plane.
    pub control_plane_ip: Ipv4Addr,
    /// Range of the control plane.
    pub control_plane_cidr: Ipv4Net,
    /// Range of the workload plane.
    pub workload_plane_cidr: Ipv4Net,
}

impl Facts {
    /// The value of `{name}` in a text.
    pub fn get(&self, name: &str) -> Option<String> {
        Some(match name {
            "version" => self.version.clone(),
            "node" => self.node.clone(),
            "new-node" => self.new_node.clone(),
            "new-node-ip" => self.new_node_ip.to_string(),
            "new-node-roles" => listed(&self.new_node_roles),
            "new-node-role-labels" => labels(&self.new_node_roles),
            "etcd-members" => self.etcd_members.to_string(),
            "iso" => self.iso.clone(),
            "other-iso" => self.other_iso.clone(),
            "other-version" => self.other_version.clone(),
            "archive" => format!("{}/metalk8s-{}", metalk8s_types::paths::ARCHIVES, self.version),
            "control-plane-ip" => self.control_plane_ip.to_string(),
            "control-plane-cidr" => self.control_plane_cidr.to_string(),
            "workload-plane-cidr" => self.workload_plane_cidr.to_string(),
            _ => return None,
        })
    }
}

/// Roles as `kubectl get nodes` lists them: sorted by name, with commas between.
fn listed(roles: &[Role]) -> String {
    let names: BTreeSet<_> = roles.iter().map(|role| role.name()).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// Roles as lines below `labels:` of a manifest; the first one is indented by the place where it stands.
fn labels(roles: &[Role]) -> String {
    let lines: Vec<_> = roles.iter().map(|role| format!("{}: ''", role.key())).collect();
    lines.join("\n    ")
}

/// Puts `value(name)` in the place of each `{name}`; `Err` is a name that it does not know.
///
/// Names are words like `control-plane-ip` or `P088`. Other braces, as of the shell or of regular expressions,
/// are left alone.
pub(crate) fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..].split('}').next().filter(|name| is_name(name) && rest.len() > name.len() + 1);
        // `${name}` is a variable of the shell.
        if let Some(name) = name.filter(|_| !expanded.ends_with('$')) {
            expanded.push_str(&value(name).ok_or(name)?);
            rest = &rest[name.len() + 2..];
        } else {
            expanded.push('{');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Puts one version in the place of another, but not where that is a part of a longer number.
pub(crate) fn with_version(text: &str, printed: &str, version: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(printed) {
        let (before, after) = (&rest[..at], &rest[at + printed.len()..]);
        let goes_on = |mut chars: std::str::Chars<'_>| match chars.next() {
            Some('.') => chars.next().is_some_and(|next| next.is_ascii_digit()),
            first => first.is_some_and(|first| first.is_ascii_digit()),
        };
        let begins_inside = before.ends_with(|c: char| c.is_ascii_digit() || c == '.');
        replaced.push_str(before);
        replaced.push_str(if begins_inside || goes_on(after.chars()) { printed } else { version });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

fn is_name(text: &str) -> bool {
    let is_id =
        text.len() == 4 && text.starts_with('P') && text[1..].bytes().all(|byte| byte.is_ascii_digit());
    let is_word = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_id || is_word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        ["a-b", "P088"].contains(&name).then(|| "X".to_owned())
    }

    #[test]
    fn names_are_replaced_and_other_braces_are_left() {
        for (text, expected) in [
            ("{a-b}{P088}", "XX"),
            ("f() { x; }; {a-b}", "f() { x; }; X"),
            ("[0-9a-f]{12,64} {2}", "[0-9a-f]{12,64} {2}"),
            ("${a-b} '{.items}' {", "${a-b} '{.items}' {"),
            ("{{a-b}", "{X"),
            ("{a-b", "{a-b"),
        ] {
            assert_eq!(expand(text, known).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn roles_are_listed_by_name_and_are_lines_of_a_manifest() {
        assert_eq!(listed(&[Role::Node]), "node");
        assert_eq!(labels(&[Role::Node]), "node-role.kubernetes.io/node: ''");
        let roles = [Role::Master, Role::Etcd, Role::Infra];
        assert_eq!(listed(&roles), "etcd,infra,master");
        let lines = "node-role.kubernetes.io/master: ''\n    node-role.kubernetes.io/etcd: ''\n    \
                     node-role.kubernetes.io/infra: ''";
        assert_eq!(labels(&roles), lines);
    }

    #[test]
    fn an_unknown_name_is_told() {
        assert_eq!(expand("{a-b} {nothing}", known), Err("nothing".to_owned()));
    }

    #[test]
    fn a_version_is_replaced_only_where_it_is_whole() {
        for (text, expected) in [
            ("/srv/metalk8s-2.5.1/x", "/srv/metalk8s-0.1.0/x"),
            ("version: '2.5.1'", "version: '0.1.0'"),
            ("the end is 2.5.1.", "the end is 0.1.0."),
            ("12.5.1 2.5.10 2.5.1.3 1.2.5.1", "12.5.1 2.5.10 2.5.1.3 1.2.5.1"),
        ] {
            assert_eq!(with_version(text, "2.5.1", "0.1.0"), expected);
        }
    }
}
