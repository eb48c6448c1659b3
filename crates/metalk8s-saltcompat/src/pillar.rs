//! Settings of the product as a tree that `pillar.get` shows.

use std::{collections::BTreeSet, net::IpAddr};

use metalk8s_types::{
    BootstrapConfiguration, Role,
    bootstrap_config::{GivenSettings, Mistake, Version},
    pillar::{Networks, Proxies},
};
use serde_json::{Map, Value, json};

/// The trees `metalk8s`, `networks` and `proxies` of a configuration (CFG-06, NET-11; constants.md, 8.1).
///
/// The planes have the layout the file is written in: a single range is a text up to `v1alpha2`, later there
/// is a map with `cidr`.
pub fn pillar_tree(configuration: &BootstrapConfiguration) -> Value {
    let Networks { control_plane, workload_plane, pods, services, workload_plane_mtu } =
        &configuration.networks;
    let plane = |ranges: &[ipnet::IpNet], extra: Option<(&str, Value)>| match (configuration.version, ranges)
    {
        (Version::V1Alpha2, [range]) => json!(range),
        (Version::V1Alpha2, ranges) => json!(ranges),
        (Version::V1Alpha3, ranges) => {
            let cidr = ("cidr".to_owned(), json!(ranges));
            let extra = extra.map(|(key, value)| (key.to_owned(), value));
            std::iter::once(cidr).chain(extra).collect::<Map<_, _>>().into()
        }
    };
    let ingress = configuration.ingress_ip.map(|ip| ("ingress", json!({ "ip": ip })));
    let mtu = workload_plane_mtu.map(|mtu| ("mtu", json!(mtu)));
    json!({
        "metalk8s": {
            "archives": configuration.archives,
            "ca": {"minion": configuration.ca_minion},
        },
        "networks": {
            "control_plane": plane(control_plane, ingress),
            "pod": pods,
            "service": services,
            "workload_plane": plane(workload_plane, mtu),
        },
        "proxies": proxies(&configuration.proxies),
    })
}

/// What is known of a node of the fleet, as people look it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PillarNode {
    /// Its name.
    pub name: String,
    /// The version that it shall have.
    pub version: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Its address in the control plane.
    pub address: IpAddr,
}

/// Below `metalk8s`: what the fleet knows besides the configuration.
const OF_FLEET: [&str; 4] = ["nodes", "endpoints", "etcd", "cluster_version"];

/// Takes what the fleet knows over from a tree that has it.
pub fn take_fleet(tree: &mut Value, known: &Value) {
    for key in OF_FLEET {
        if let Some(value) = known["metalk8s"].get(key) {
            tree["metalk8s"][key] = value.clone();
        }
    }
}

/// Adds what the fleet knows to the settings (constants.md, section 18): `metalk8s:nodes`, `metalk8s:endpoints`,
/// `metalk8s:etcd` and `metalk8s:cluster_version`, which is the version of the node that holds the authorities.
pub fn add_fleet(tree: &mut Value, nodes: &[PillarNode], ca_node: &str) {
    let with = |role: Role| nodes.iter().filter(move |node| node.roles.contains(&role));
    let serving = |ports: Value| -> Value {
        let served =
            |node: &PillarNode| (node.name.clone(), json!({"ip": node.address, "ports": ports.clone()}));
        with(Role::Bootstrap).map(served).collect::<Map<_, _>>().into()
    };
    let known = nodes.iter().map(|node| {
        (node.name.clone(), json!({"version": node.version, "roles": node.roles, "ip": node.address}))
    });
    let members = with(Role::Etcd).map(|node| (node.name.clone(), json!(node.address)));
    let version = nodes.iter().find(|node| node.name == ca_node).map(|node| node.version.as_str());
    tree["metalk8s"]["nodes"] = known.collect::<Map<_, _>>().into();
    tree["metalk8s"]["endpoints"] = json!({"repositories": serving(json!({"https": 8080})), "salt-master": serving(json!({"api": 4507}))});
    tree["metalk8s"]["etcd"] = json!({"members": members.collect::<Map<_, _>>()});
    tree["metalk8s"]["cluster_version"] = json!(version);
}

/// Lays what was given for one call over the settings, as Salt does: maps are merged, and all else is replaced.
pub(crate) fn merge(tree: &mut Value, given: &Map<String, Value>) {
    if !tree.is_object() {
        *tree = json!({});
    }
    let Some(tree) = tree.as_object_mut() else { return };
    for (key, value) in given {
        match (tree.get_mut(key), value) {
            (Some(known @ Value::Object(_)), Value::Object(value)) => merge(known, value),
            _ => {
                tree.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What formulas read of the settings where something was given for one call.
///
/// # Errors
/// All mistakes, each with its key; never an empty list.
pub fn given_settings(mut tree: Value, given: &Map<String, Value>) -> Result<GivenSettings, Vec<Mistake>> {
    merge(&mut tree, given);
    GivenSettings::read(&tree, given)
}

/// Only what was given.
fn proxies(proxies: &Proxies) -> Value {
    let Proxies { http, https, no_proxy } = proxies;
    let given = [
        ("http", http.as_ref().map(|http| json!(http))),
        ("https", https.as_ref().map(|https| json!(https))),
        ("no_proxy", (!no_proxy.is_empty()).then(|| json!(no_proxy))),
    ];
    let given = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    given.collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_merged_and_all_else_is_replaced() {
        let mut tree = json!({"a": {"b": {"c": 1, "d": 2}, "e": [1, 2]}, "f": "x", "g": {"h": 1}});
        let given = json!({"a": {"b": {"c": 3}, "e": [4]}, "f": {"i": 1}, "g": null, "j": true});
        merge(&mut tree, given.as_object().unwrap());
        assert_eq!(
            tree,
            json!({"a": {"b": {"c": 3, "d": 2}, "e": [4]}, "f": {"i": 1}, "g": null, "j": true})
        );
        let mut nothing = Value::Null;
        merge(&mut nothing, given.as_object().unwrap());
        assert_eq!(nothing, given);
    }

    #[test]
    fn one_key_of_a_plane_leaves_the_others_and_a_bad_value_is_told_by_its_key() {
        let configuration = "apiVersion: metalk8s.scality.com/v1alpha3\nkind: BootstrapConfiguration\n\
                             networks: {controlPlane: {cidr: 10.0.0.0/28}, workloadPlane: {cidr: 10.0.1.0/28}}\n\
                             ca: {minion: boot}\narchives: [/a.iso]\n";
        let mut configuration = BootstrapConfiguration::parse(configuration.as_bytes()).unwrap();
        let tree = pillar_tree(&configuration);
        let read = |given: Value| given_settings(tree.clone(), given.as_object().unwrap());
        let given = read(json!({"networks": {"workload_plane": {"mtu": 1300}}})).unwrap();
        given.change_configuration(&mut configuration);
        assert_eq!(configuration.networks.workload_plane_mtu, Some(1300));
        assert_eq!(pillar_tree(&configuration)["networks"]["workload_plane"]["cidr"], json!(["10.0.1.0/28"]));
        let mistakes = read(json!({"networks": {"workload_plane": {"mtu": "large"}}})).unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].key.as_str()), (1, "networks.workload_plane.mtu"));
    }

    #[test]
    fn the_fleet_is_looked_up_by_node_and_by_what_nodes_serve() {
        let node = |name: &str, roles: &[Role], last| PillarNode {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            roles: roles.iter().copied().collect(),
            address: [10, 0, 0, last].into(),
        };
        let nodes = [node("boot", &[Role::Bootstrap, Role::Etcd], 1), node("node-1", &[Role::Node], 2)];
        let mut tree = json!({"metalk8s": {"archives": ["/a.iso"]}});
        add_fleet(&mut tree, &nodes, "boot");
        let expected = json!({"metalk8s": {
            "archives": ["/a.iso"],
            "nodes": {
                "boot": {"version": "0.1.0", "roles": ["bootstrap", "etcd"], "ip": "10.0.0.1"},
                "node-1": {"version": "0.1.0", "roles": ["node"], "ip": "10.0.0.2"},
            },
            "endpoints": {
                "repositories": {"boot": {"ip": "10.0.0.1", "ports": {"https": 8080}}},
                "salt-master": {"boot": {"ip": "10.0.0.1", "ports": {"api": 4507}}},
            },
            "etcd": {"members": {"boot": "10.0.0.1"}},
            "cluster_version": "0.1.0",
        }});
        assert_eq!(tree, expected);
        let mut other = json!({"metalk8s": {"archives": []}});
        take_fleet(&mut other, &tree);
        assert_eq!(other["metalk8s"]["archives"], json!([]));
        assert_eq!(other["metalk8s"]["nodes"], expected["metalk8s"]["nodes"]);
    }
}
