//! The keys of the file.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use ipnet::IpNet;

use super::{
    BootstrapConfiguration, DEFAULT_PODS, DEFAULT_SERVICES, Version,
    mistake::{Mistake, MistakeCode},
    overlap,
    reader::{Fields, Reader},
    values,
    yaml::{Node, Value},
};
use crate::pillar::{Addons, Certificates, Networks, Proxies};

const CIDRS: &str = "a range such as `10.200.1.0/28`, or a list of ranges";
const API_VERSIONS: &str = "`metalk8s.scality.com/v1alpha2`, `metalk8s.scality.com/v1alpha3`";

/// A range with the place that names it.
pub(super) struct Range<'a> {
    pub(super) net: IpNet,
    pub(super) key: String,
    pub(super) node: Option<&'a Node>,
    /// Whether machines have addresses in it.
    pub(super) is_plane: bool,
}

/// What the parts of `networks` are called.
pub(super) struct NetworkKeys {
    control_plane: &'static str,
    workload_plane: &'static str,
    pods: &'static str,
    services: &'static str,
}

/// In the file.
const OF_FILE: NetworkKeys = NetworkKeys {
    control_plane: "controlPlane",
    workload_plane: "workloadPlane",
    pods: "pods",
    services: "services",
};

/// In the tree of settings that people see.
pub(super) const OF_TREE: NetworkKeys = NetworkKeys {
    control_plane: "control_plane",
    workload_plane: "workload_plane",
    pods: "pod",
    services: "service",
};

/// What was read of `networks`.
struct Plane<'a> {
    ranges: Vec<Range<'a>>,
    mtu: Option<u32>,
    ingress_ip: Option<IpAddr>,
}

pub(super) fn configuration(document: &Node) -> Result<BootstrapConfiguration, Vec<Mistake>> {
    let mut reader = Reader::default();
    let read = read(&mut reader, document);
    let mistakes = reader.into_mistakes();
    match read {
        Some(configuration) if mistakes.is_empty() => Ok(configuration),
        _ => Err(mistakes),
    }
}

/// The configuration; whoever returns `None` has added a mistake.
fn read(reader: &mut Reader, document: &Node) -> Option<BootstrapConfiguration> {
    let known = [
        "apiVersion",
        "kind",
        "networks",
        "proxies",
        "certificates",
        "ca",
        "archives",
        "kubernetes",
        "addons",
    ];
    let fields = reader.fields(document, "", &known)?;
    let version = version(reader, &fields);
    kind(reader, &fields);
    let networks = reader
        .required(&fields, "networks", "a mapping with `controlPlane` and `workloadPlane`")
        .and_then(|node| networks(reader, node, &OF_FILE));
    let proxies = fields.get("proxies").map(|node| proxies(reader, node)).unwrap_or_default();
    let certificates = fields.get("certificates").map(|node| certificates(reader, node)).unwrap_or_default();
    let ca_minion = reader
        .required(&fields, "ca", "a mapping with `minion`")
        .and_then(|node| ca_minion(reader, node, "ca"));
    let archives = reader
        .required(&fields, "archives", "a list of absolute paths of ISO files")
        .map(|node| archives(reader, node, "archives"));
    let (api_server_names, feature_gates) =
        fields.get("kubernetes").map(|node| api_server(reader, node)).unwrap_or_default();
    let addons = fields.get("addons").map(|node| addons(reader, node)).unwrap_or_default();
    let (networks, ingress_ip) = networks?;
    Some(BootstrapConfiguration {
        version: version?,
        networks,
        ingress_ip,
        proxies,
        certificates,
        ca_minion: ca_minion?,
        archives: archives?,
        api_server_names,
        feature_gates,
        addons,
    })
}

fn version(reader: &mut Reader, fields: &Fields<'_>) -> Option<Version> {
    let node = reader.required(fields, "apiVersion", API_VERSIONS)?;
    match reader.text(node, "apiVersion", API_VERSIONS)? {
        "metalk8s.scality.com/v1alpha2" => Some(Version::V1Alpha2),
        "metalk8s.scality.com/v1alpha3" => Some(Version::V1Alpha3),
        _ => {
            wrong_kind(reader, node, "apiVersion", API_VERSIONS);
            None
        }
    }
}

fn kind(reader: &mut Reader, fields: &Fields<'_>) {
    const KIND: &str = "`BootstrapConfiguration`";
    let Some(node) = reader.required(fields, "kind", KIND) else { return };
    if reader.text(node, "kind", KIND).is_some_and(|kind| kind != "BootstrapConfiguration") {
        wrong_kind(reader, node, "kind", KIND);
    }
}

fn wrong_kind(reader: &mut Reader, node: &Node, key: &str, accepted: &str) {
    let (found, message) = (Some(node.value.describe()), "this file is of another kind or version");
    reader.add(MistakeCode::WrongKind, node.place, key, message, found, Some(accepted));
}

/// The networks, and the address of the GUIs.
pub(super) fn networks(
    reader: &mut Reader,
    node: &Node,
    keys: &NetworkKeys,
) -> Option<(Networks, Option<IpAddr>)> {
    let known = [keys.control_plane, keys.workload_plane, keys.pods, keys.services];
    let fields = reader.fields(node, "networks", &known)?;
    let control_plane = plane(reader, &fields, keys.control_plane, &["cidr", "ingress", "metalLB"]);
    let workload_plane = plane(reader, &fields, keys.workload_plane, &["cidr", "mtu"]);
    let pods = cluster_range(reader, &fields, keys.pods, DEFAULT_PODS, 8..=24);
    // The API server takes at most 2^20 addresses, and the tenth is the address of DNS.
    let services = cluster_range(reader, &fields, keys.services, DEFAULT_SERVICES, 12..=27);

    let mut ranges: Vec<&Range<'_>> = pods.iter().chain(&services).collect();
    ranges.extend(control_plane.iter().chain(&workload_plane).flat_map(|plane| &plane.ranges));
    overlap::check(reader, &ranges, node);

    let (control_plane, workload_plane) = (control_plane?, workload_plane?);
    let nets = |ranges: Vec<Range<'_>>| ranges.into_iter().map(|range| range.net).collect();
    let networks = Networks {
        control_plane: nets(control_plane.ranges),
        workload_plane: nets(workload_plane.ranges),
        pods: pods?.net,
        services: services?.net,
        workload_plane_mtu: workload_plane.mtu,
    };
    Some((networks, control_plane.ingress_ip))
}

/// A plane, which is a range, a list of ranges, or a mapping with either as `cidr`.
fn plane<'a>(reader: &mut Reader, networks: &Fields<'a>, key: &str, known: &[&str]) -> Option<Plane<'a>> {
    let node = reader.required(networks, key, CIDRS)?;
    let path = networks.path(key);
    if !matches!(node.value, Value::Map(_)) {
        return Some(Plane { ranges: plane_ranges(reader, node, &path), mtu: None, ingress_ip: None });
    }
    let fields = reader.fields(node, &path, known)?;
    let mtu = fields.get("mtu").and_then(|node| values::mtu(reader, node, &fields.path("mtu")));
    let ingress_ip = fields.get("ingress").and_then(|node| ingress(reader, node, &fields.path("ingress")));
    if let Some(node) = fields.get("metalLB") {
        metal_lb(reader, node, &fields.path("metalLB"));
    }
    let ranges = reader.required(&fields, "cidr", CIDRS)?;
    Some(Plane { ranges: plane_ranges(reader, ranges, &fields.path("cidr")), mtu, ingress_ip })
}

fn plane_ranges<'a>(reader: &mut Reader, node: &'a Node, path: &str) -> Vec<Range<'a>> {
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        reader.bad(node, path, "at least one range is needed", CIDRS);
    }
    let mut ranges = Vec::new();
    for (item, key) in reader.items(node, path, CIDRS) {
        // The smallest range in which two machines can have an address.
        if let Some(net) = values::range(reader, item, &key, 8..=30) {
            ranges.push(Range { net, key, node: Some(item), is_plane: true });
        }
    }
    ranges
}

fn ingress(reader: &mut Reader, node: &Node, path: &str) -> Option<IpAddr> {
    let fields = reader.fields(node, path, &["ip"])?;
    let path = fields.path("ip");
    fields.get("ip").and_then(|node| values::address(reader, node, &path))
}

fn metal_lb(reader: &mut Reader, node: &Node, path: &str) {
    let Some((true, enabled)) = enabled(reader, node, path) else { return };
    let message =
        "MetalLB gives no address to the GUIs in this version; `addons.metallb.enabled` has it for Services";
    reader.bad(enabled, &format!("{path}.enabled"), message, "`false`");
}

/// What `enabled` says, and where it stands.
fn enabled<'a>(reader: &mut Reader, node: &'a Node, path: &str) -> Option<(bool, &'a Node)> {
    let fields = reader.fields(node, path, &["enabled"])?;
    let enabled = fields.get("enabled")?;
    Some((values::boolean(reader, enabled, &fields.path("enabled"))?, enabled))
}

fn addons(reader: &mut Reader, node: &Node) -> Addons {
    let Some(fields) = reader.fields(node, "addons", &["calico", "metallb"]) else {
        return Addons::default();
    };
    let metallb = fields.get("metallb").and_then(|node| enabled(reader, node, &fields.path("metallb")));
    let calico = fields.get("calico").and_then(|node| reader.fields(node, &fields.path("calico"), &["bgp"]));
    let bgp = calico.and_then(|calico| enabled(reader, calico.get("bgp")?, &calico.path("bgp")));
    let is_enabled = |found: Option<(bool, &Node)>| found.is_some_and(|(is_enabled, _)| is_enabled);
    Addons { metallb: is_enabled(metallb), calico_bgp: is_enabled(bgp) }
}

fn cluster_range<'a>(
    reader: &mut Reader,
    networks: &Fields<'a>,
    key: &str,
    default: &str,
    prefixes: std::ops::RangeInclusive<u8>,
) -> Option<Range<'a>> {
    let path = networks.path(key);
    match networks.get(key) {
        Some(node) => {
            let net = values::range(reader, node, &path, prefixes)?;
            Some(Range { net, key: path, node: Some(node), is_plane: false })
        }
        None => {
            let net = default.parse().expect("the default ranges are well formed");
            Some(Range { net, key: path, node: None, is_plane: false })
        }
    }
}

pub(super) fn proxies(reader: &mut Reader, node: &Node) -> Proxies {
    let Some(fields) = reader.fields(node, "proxies", &["http", "https", "no_proxy"]) else {
        return Proxies::default();
    };
    let mut url = |key: &str| fields.get(key).and_then(|node| values::proxy(reader, node, &fields.path(key)));
    let (http, https) = (url("http"), url("https"));
    let no_proxy = fields.get("no_proxy").map(|node| no_proxy(reader, node, &fields.path("no_proxy")));
    Proxies { http, https, no_proxy: no_proxy.unwrap_or_default() }
}

fn no_proxy(reader: &mut Reader, node: &Node, path: &str) -> Vec<String> {
    reader
        .items(node, path, "a list of hosts, addresses or ranges")
        .into_iter()
        .filter_map(|(item, key)| values::proxy_exception(reader, item, &key))
        .collect()
}

fn certificates(reader: &mut Reader, node: &Node) -> Certificates {
    let fields = reader.fields(node, "certificates", &["lifetime"]);
    let lifetime = fields.and_then(|fields| {
        fields.get("lifetime").and_then(|node| values::lifetime(reader, node, &fields.path("lifetime")))
    });
    lifetime.map_or_else(Certificates::default, |lifetime_seconds| Certificates { lifetime_seconds })
}

pub(super) fn ca_minion(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let fields = reader.fields(node, path, &["minion"])?;
    let minion = reader.required(&fields, "minion", values::HOST_NAME)?;
    values::host_name(reader, minion, &fields.path("minion"))
}

pub(super) fn archives(reader: &mut Reader, node: &Node, path: &str) -> Vec<PathBuf> {
    const ARCHIVES: &str = "a list of absolute paths of ISO files";
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        reader.bad(node, path, "at least one archive is needed", ARCHIVES);
    }
    let mut archives: Vec<(PathBuf, usize)> = Vec::new();
    for (item, key) in reader.items(node, path, ARCHIVES) {
        let Some(path) = values::absolute_path(reader, item, &key) else { continue };
        match archives.iter().find(|(known, _)| *known == path) {
            Some((_, line)) => {
                let message = match line {
                    0 => "this archive is named twice".to_owned(),
                    line => format!("this archive stands already in line {line}"),
                };
                reader.bad(item, &key, message, "each archive once");
            }
            None => archives.push((path, item.place.line)),
        }
    }
    archives.into_iter().map(|(path, _)| path).collect()
}

/// `certSANs` and `featureGates`.
fn api_server(reader: &mut Reader, node: &Node) -> (Vec<String>, BTreeMap<String, bool>) {
    let kubernetes = reader.fields(node, "kubernetes", &["apiServer"]);
    let Some(node) = kubernetes.as_ref().and_then(|kubernetes| kubernetes.get("apiServer")) else {
        return Default::default();
    };
    let known = ["certSANs", "featureGates"];
    let Some(fields) = reader.fields(node, "kubernetes.apiServer", &known) else { return Default::default() };
    let names = fields.get("certSANs").map(|node| names(reader, node, &fields.path("certSANs")));
    let gates =
        fields.get("featureGates").map(|node| feature_gates(reader, node, &fields.path("featureGates")));
    (names.unwrap_or_default(), gates.unwrap_or_default())
}

fn names(reader: &mut Reader, node: &Node, path: &str) -> Vec<String> {
    let items = reader.items(node, path, "a list of names and addresses");
    items.into_iter().filter_map(|(item, key)| values::name_or_address(reader, item, &key)).collect()
}

fn feature_gates(reader: &mut Reader, node: &Node, path: &str) -> BTreeMap<String, bool> {
    let mut gates = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        reader.bad(node, path, "this must be a mapping", "a mapping from names to `true` or `false`");
        return gates;
    };
    for entry in entries {
        let key = format!("{path}.{}", entry.key);
        if !entry.key.chars().all(|character| character.is_ascii_alphanumeric()) || entry.key.is_empty() {
            let accepted = "letters and digits, such as `TTLAfterFinished`";
            reader.add(
                MistakeCode::BadValue,
                entry.place,
                path,
                "no feature gate has such a name",
                None,
                Some(accepted),
            );
        } else if let Some(on) = values::boolean(reader, &entry.node, &key) {
            gates.insert(entry.key.clone(), on);
        }
    }
    gates
}
