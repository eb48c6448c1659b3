//! Settings that somebody gives for one run, over those that the machine has.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde_json::{Map, Value as Json};

use super::{
    BootstrapConfiguration,
    mistake::Mistake,
    read,
    reader::{Fields, Reader},
    values,
    yaml::Node,
};
use crate::{
    Pillar, Role,
    pillar::{Networks, Proxies},
};

const ADDRESS: &str = "an IPv4 address such as `10.200.1.1`";
const OF_NODES: &str = "a mapping with names of nodes as keys";
const ROLES: &str = "a list of `bootstrap`, `etcd`, `infra`, `master`, `node`";
/// What is read of the product's own settings; all else there is nothing that formulas know.
const OF_PRODUCT: [&str; 5] = ["archives", "ca", "endpoints", "etcd", "nodes"];

/// Addresses in the control plane, by node.
type Addresses = BTreeMap<String, IpAddr>;

/// What a tree of settings, as people see it, says in the places in which somebody gave something.
///
/// `None` stands for a place in which nobody did: what the machine has there stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenSettings {
    networks: Option<Networks>,
    ingress_ip: Option<IpAddr>,
    proxies: Option<Proxies>,
    ca_minion: Option<String>,
    archives: Option<Vec<PathBuf>>,
    masters: Option<Addresses>,
    etcd: Option<Addresses>,
    repositories: Option<Addresses>,
}

impl GivenSettings {
    /// Reads what is read of the `tree`, which has in it what was `given`.
    ///
    /// # Errors
    /// All mistakes, each with its key; never an empty list.
    pub fn read(tree: &Json, given: &Map<String, Json>) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader::default();
        let settings = of_tree(&mut reader, tree, given);
        let mut mistakes = reader.into_mistakes();
        match settings {
            Ok(settings) if mistakes.is_empty() => Ok(settings),
            Ok(_) => Err(mistakes),
            Err(mistake) => {
                mistakes.push(mistake);
                Err(mistakes)
            }
        }
    }

    /// Puts them in the place of what the file says.
    pub fn change_configuration(&self, configuration: &mut BootstrapConfiguration) {
        let Self { networks, ingress_ip, proxies, ca_minion, archives, masters: _, etcd: _, repositories: _ } =
            self;
        change_networks(&mut configuration.networks, networks.as_ref());
        configuration.ingress_ip = ingress_ip.or(configuration.ingress_ip);
        change(&mut configuration.proxies, proxies.as_ref());
        change(&mut configuration.ca_minion, ca_minion.as_ref());
        change(&mut configuration.archives, archives.as_ref());
    }

    /// Puts them in the place of what formulas would read. Addresses, roles and version of the node stay.
    pub fn change_pillar(&self, pillar: &mut Pillar) {
        // A pillar has no address of the GUIs, and its archives are those that were examined.
        let Self { networks, ingress_ip: _, proxies, ca_minion, archives: _, masters, etcd, repositories } =
            self;
        change_networks(&mut pillar.networks, networks.as_ref());
        change(&mut pillar.proxies, proxies.as_ref());
        change(&mut pillar.ca_node, ca_minion.as_ref());
        let own = pillar.node.control_plane;
        for (role, addresses, given) in [
            (Role::Master, &mut pillar.masters, masters),
            (Role::Etcd, &mut pillar.etcd, etcd),
            (Role::Bootstrap, &mut pillar.repositories, repositories),
        ] {
            let Some(given) = given else { continue };
            *addresses = given.values().copied().collect();
            if pillar.roles.contains(&role) && !addresses.contains(&own) {
                addresses.insert(0, own);
            }
        }
    }
}

fn change<T: Clone>(known: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        known.clone_from(given);
    }
}

/// Layout `v1alpha2` of the tree does not show the MTU, so that its absence says nothing.
fn change_networks(known: &mut Networks, given: Option<&Networks>) {
    let mtu = known.workload_plane_mtu;
    change(known, given);
    known.workload_plane_mtu = known.workload_plane_mtu.or(mtu);
}

fn of_tree(reader: &mut Reader, tree: &Json, given: &Map<String, Json>) -> Result<GivenSettings, Mistake> {
    let mut settings = GivenSettings::default();
    if given.contains_key("networks") {
        let node = Node::from_json(&tree["networks"])?;
        if let Some((networks, ingress_ip)) = read::networks(reader, &node, &read::OF_TREE) {
            settings.networks = Some(networks);
            settings.ingress_ip = ingress_ip;
        }
    }
    if given.contains_key("proxies") {
        settings.proxies = Some(read::proxies(reader, &Node::from_json(&tree["proxies"])?));
    }
    match given.get("metalk8s") {
        Some(Json::Object(given)) => of_product(reader, &tree["metalk8s"], given, &mut settings)?,
        Some(other) => drop(reader.mapping(&Node::from_json(other)?, "metalk8s", &OF_PRODUCT)),
        None => {}
    }
    Ok(settings)
}

/// What is below `metalk8s`.
fn of_product(
    reader: &mut Reader,
    tree: &Json,
    given: &Map<String, Json>,
    settings: &mut GivenSettings,
) -> Result<(), Mistake> {
    for key in OF_PRODUCT.into_iter().filter(|key| given.contains_key(*key)) {
        let node = Node::from_json(&tree[key])?;
        let path = format!("metalk8s.{key}");
        match key {
            "archives" => settings.archives = Some(read::archives(reader, &node, &path)),
            "ca" => settings.ca_minion = read::ca_minion(reader, &node, &path),
            "nodes" => settings.masters = Some(masters(reader, &node, &path)),
            "etcd" => settings.etcd = members(reader, &node, &path),
            _ => settings.repositories = repositories(reader, &node, &path),
        }
    }
    Ok(())
}

/// Of all nodes, those with the role of a master.
fn masters(reader: &mut Reader, node: &Node, path: &str) -> Addresses {
    let mut masters = Addresses::new();
    for (name, node, path) in reader.named(node, path, OF_NODES) {
        let Some(fields) = reader.mapping(node, &path, &["version", "roles", "ip"]) else { continue };
        let of_node = fields.get("roles").map(|node| roles(reader, node, &fields.path("roles")));
        let address = ip(reader, &fields);
        if of_node.unwrap_or_default().contains(&Role::Master) {
            masters.extend(address.map(|address| (name.to_owned(), address)));
        }
    }
    masters
}

fn roles(reader: &mut Reader, node: &Node, path: &str) -> Vec<Role> {
    let mut roles = Vec::new();
    for (item, key) in reader.items(node, path, ROLES) {
        match reader.text(item, &key, ROLES).map(str::parse::<Role>) {
            Some(Ok(role)) => roles.push(role),
            Some(Err(_)) => reader.bad(item, &key, "this is no role", ROLES),
            None => {}
        }
    }
    roles
}

fn members(reader: &mut Reader, node: &Node, path: &str) -> Option<Addresses> {
    let fields = reader.mapping(node, path, &["members"])?;
    let node = reader.required(&fields, "members", OF_NODES)?;
    let mut members = Addresses::new();
    for (name, node, path) in reader.named(node, &fields.path("members"), OF_NODES) {
        members.extend(values::address(reader, node, &path).map(|address| (name.to_owned(), address)));
    }
    Some(members)
}

/// Of what nodes serve, the repositories; `None` where nobody says who does.
fn repositories(reader: &mut Reader, node: &Node, path: &str) -> Option<Addresses> {
    let fields = reader.mapping(node, path, &["repositories"])?;
    let node = fields.get("repositories")?;
    let mut repositories = Addresses::new();
    for (name, node, path) in reader.named(node, &fields.path("repositories"), OF_NODES) {
        let Some(fields) = reader.mapping(node, &path, &["ip", "ports"]) else { continue };
        repositories.extend(ip(reader, &fields).map(|address| (name.to_owned(), address)));
    }
    Some(repositories)
}

fn ip(reader: &mut Reader, fields: &Fields<'_>) -> Option<IpAddr> {
    let node = reader.required(fields, "ip", ADDRESS)?;
    values::address(reader, node, &fields.path("ip"))
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use serde_json::json;

    use super::*;
    use crate::pillar::{Addons, ArchiveFacts, ArchiveSource, Authorities, Certificates, NodeAddresses};

    const CONFIGURATION: &[u8] = b"\
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks:
  controlPlane: 10.200.1.0/28
  workloadPlane: {cidr: 10.200.2.0/28, mtu: 1400}
proxies: {http: 'http://proxy.example:3128'}
ca: {minion: bootstrap}
archives: [/archives/metalk8s.iso]
";

    /// What is given has to be in the tree already: who merges it in is `metalk8s-saltcompat`.
    fn read(given: Json) -> Result<GivenSettings, Vec<String>> {
        let mut tree = json!({
            "metalk8s": {"archives": ["/archives/metalk8s.iso"], "ca": {"minion": "bootstrap"}},
            "networks": {
                "control_plane": "10.200.1.0/28",
                "workload_plane": "10.200.2.0/28",
                "pod": "10.233.0.0/16",
                "service": "10.96.0.0/12",
            },
            "proxies": {},
        });
        for (section, value) in given.as_object().unwrap() {
            match (tree.get_mut(section), value) {
                (Some(Json::Object(known)), Json::Object(value)) => known.extend(value.clone()),
                _ => tree[section] = value.clone(),
            }
        }
        GivenSettings::read(&tree, given.as_object().unwrap()).map_err(|mistakes| {
            let told =
                |mistake: &Mistake| format!("{} {}: {}", mistake.code.as_str(), mistake.key, mistake.message);
            mistakes.iter().map(told).collect()
        })
    }

    fn configuration() -> BootstrapConfiguration {
        BootstrapConfiguration::parse(CONFIGURATION).unwrap()
    }

    fn pillar(roles: &[Role]) -> Pillar {
        let configuration = configuration();
        Pillar {
            networks: configuration.networks,
            proxies: configuration.proxies,
            certificates: Certificates::default(),
            api_server_names: Vec::new(),
            addons: Addons::default(),
            ca_node: configuration.ca_minion,
            node: NodeAddresses {
                control_plane: [10, 200, 1, 2].into(),
                workload_plane: [10, 200, 2, 2].into(),
            },
            archive: ArchiveFacts {
                version: "9.8.7".into(),
                root: "/srv/scality/metalk8s-9.8.7".into(),
                images: BTreeMap::new(),
                packages: BTreeMap::new(),
                components: BTreeMap::new(),
                source: ArchiveSource::Mounted,
            },
            archives: Vec::new(),
            masters: vec![[10, 200, 1, 2].into()],
            etcd: vec![[10, 200, 1, 2].into()],
            repositories: vec![[10, 200, 1, 2].into()],
            roles: roles.iter().copied().collect(),
            authorities: Authorities::Here,
            initial_cluster: None,
        }
    }

    #[test]
    fn what_nobody_gives_stays() {
        let given = read(json!({"bootstrap_id": "x", "metalk8s": {"cluster_version": "1.2.3"}})).unwrap();
        assert_eq!(given, GivenSettings::default());
        let mut changed = configuration();
        given.change_configuration(&mut changed);
        assert_eq!(changed, configuration());
    }

    #[test]
    fn one_network_is_changed_and_the_others_stay_with_what_the_tree_does_not_show() {
        let given = read(json!({"networks": {"pod": "10.234.0.0/16"}})).unwrap();
        let mut changed = configuration();
        given.change_configuration(&mut changed);
        let mut expected = configuration();
        expected.networks.pods = "10.234.0.0/16".parse().unwrap();
        assert_eq!(changed, expected);
        assert_eq!(changed.networks.workload_plane_mtu, Some(1400));
    }

    #[test]
    fn a_plane_with_its_mtu_proxies_archives_and_the_node_of_the_authorities_are_read_as_in_the_file() {
        let given = read(json!({
            "networks": {"workload_plane": {"cidr": ["10.200.3.0/28"], "mtu": 1300}},
            "proxies": {"https": "http://other.example:3128"},
            "metalk8s": {"archives": ["/b.iso"], "ca": {"minion": "other"}},
        }));
        let mut changed = configuration();
        given.unwrap().change_configuration(&mut changed);
        assert_eq!(changed.networks.workload_plane, ["10.200.3.0/28".parse::<IpNet>().unwrap()]);
        assert_eq!(changed.networks.workload_plane_mtu, Some(1300));
        assert_eq!(changed.proxies.https.as_deref(), Some("http://other.example:3128"));
        assert_eq!((changed.archives, changed.ca_minion), (vec!["/b.iso".into()], "other".to_owned()));
    }

    #[test]
    fn nodes_say_who_the_masters_are_and_one_that_is_a_master_stays_one() {
        let node = |roles: Json, ip: &str| json!({"roles": roles, "ip": ip});
        let given = read(json!({"metalk8s": {
            "nodes": {
                "b": node(json!(["master", "etcd"]), "10.200.1.4"),
                "c": node(json!(["node"]), "10.200.1.5"),
                "d": null,
            },
            "etcd": {"members": {"b": "10.200.1.4"}},
            "endpoints": {
                "repositories": {"b": {"ip": "10.200.1.4", "ports": {"https": 8080}}},
                "salt-master": 5,
            },
        }}))
        .unwrap();
        let mut worker = pillar(&[Role::Node]);
        given.change_pillar(&mut worker);
        let others: Vec<IpAddr> = vec![[10, 200, 1, 4].into()];
        assert_eq!((&worker.masters, &worker.etcd, &worker.repositories), (&others, &others, &others));
        let mut master = pillar(&[Role::Master]);
        given.change_pillar(&mut master);
        assert_eq!(master.masters, [IpAddr::from([10, 200, 1, 2]), IpAddr::from([10, 200, 1, 4])]);
        assert_eq!(master.etcd, others);
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let given = json!({
            "networks": {"pod": "10.234.0.1/16", "pods": "10.235.0.0/16", "service": "10.200.0.0/16"},
            "proxies": {"http": "proxy"},
            "metalk8s": {
                "archives": ["b.iso"],
                "nodes": {"b": {"roles": ["boss"], "ip": "here"}, "c": {}},
                "etcd": 5,
            },
        });
        assert_eq!(
            read(given).unwrap_err(),
            [
                "MK1104 networks.pods: this key is not known; did you mean `pod`?",
                "MK1105 networks.pod: this is an address within a range, not the range itself",
                "MK1106 networks.service: this range overlaps `networks.control_plane` (10.200.1.0/28)",
                "MK1106 networks.service: this range overlaps `networks.workload_plane` (10.200.2.0/28)",
                "MK1105 proxies.http: this is no address that begins with `http://` or `https://`",
                "MK1108 metalk8s.archives[0]: this path is not absolute",
                "MK1105 metalk8s.etcd: this must be a mapping",
                "MK1105 metalk8s.nodes.b.roles[0]: this is no role",
                "MK1105 metalk8s.nodes.b.ip: this is no address of a machine",
                "MK1103 metalk8s.nodes.c.ip: this key is missing",
            ]
        );
    }

    #[test]
    fn a_section_that_is_no_mapping_is_told_and_so_is_one_that_is_too_large() {
        for section in ["networks", "proxies", "metalk8s"] {
            let mistakes = read(json!({section: "x"})).unwrap_err();
            assert_eq!(mistakes, [format!("MK1105 {section}: this must be a mapping")]);
        }
        let many = vec!["10.200.1.0/28"; 20_000];
        let mistakes = read(json!({"networks": {"control_plane": many}})).unwrap_err();
        assert!(mistakes[0].starts_with("MK1109"), "{mistakes:?}");
    }
}
