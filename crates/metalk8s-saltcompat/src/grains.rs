//! Facts of a machine under Salt's names.

use std::{collections::BTreeMap, net::IpAddr};

use metalk8s_types::{
    Grains,
    grains::{OperatingSystem, OsFamily},
    pillar::Networks,
};
use serde_json::{Map, Value, json};

/// The grains that Salt's users look for, sorted by name; with the networks of a cluster, also the tree `metalk8s` with
/// the addresses of this machine in both planes (CFG-05), where there is exactly one in each (BOOT-32).
///
/// Addresses of the loopback interface are not among ours.
pub fn grains_tree(grains: &Grains, networks: Option<&Networks>) -> Value {
    let Grains { hostname, os, kernel, cpus, memory_bytes, nameservers, container, .. } = grains;
    let host = hostname.split('.').next().unwrap_or_default();
    let domain = hostname.split_once('.').map_or("", |(_, domain)| domain);
    let (ip4, ip6): (Vec<&IpAddr>, Vec<&IpAddr>) = nameservers.iter().partition(|address| address.is_ipv4());
    let mut tree = BTreeMap::from([
        ("cpuarch", json!(std::env::consts::ARCH)),
        ("dns", json!({"ip4_nameservers": ip4, "ip6_nameservers": ip6, "nameservers": nameservers})),
        ("domain", json!(domain)),
        ("fqdn", json!(hostname)),
        ("host", json!(host)),
        ("id", json!(hostname)),
        ("ip4_interfaces", interfaces(grains, IpAddr::is_ipv4)),
        ("ip6_interfaces", interfaces(grains, IpAddr::is_ipv6)),
        ("ip_interfaces", interfaces(grains, |_| true)),
        ("ipv4", addresses(grains, IpAddr::is_ipv4)),
        ("ipv6", addresses(grains, IpAddr::is_ipv6)),
        ("kernel", json!("Linux")),
        ("kernelrelease", json!(kernel)),
        ("localhost", json!(hostname)),
        // In MiB, as Salt counts.
        ("mem_total", json!(memory_bytes >> 20)),
        ("nodename", json!(hostname)),
        ("num_cpus", json!(cpus)),
        ("virtual", json!(if *container { "container" } else { "physical" })),
    ]);
    tree.extend(system(os));
    if let Some(networks) = networks {
        tree.insert("metalk8s", planes(grains, networks));
    }
    tree.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

fn system(os: &OperatingSystem) -> [(&'static str, Value); 8] {
    let OperatingSystem { id, version, codename, pretty_name, family } = os;
    // Salt's names of the systems we support; of others the id itself.
    let (name, full) = match id.as_str() {
        "debian" => ("Debian", "Debian GNU/Linux"),
        "ubuntu" => ("Ubuntu", "Ubuntu"),
        "rhel" => ("RedHat", "Red Hat Enterprise Linux"),
        "rocky" => ("Rocky", "Rocky Linux"),
        "almalinux" => ("AlmaLinux", "AlmaLinux"),
        "centos" => ("CentOS", "CentOS Linux"),
        other => (other, pretty_name.as_str()),
    };
    let family = match family {
        OsFamily::Debian => "Debian",
        OsFamily::RedHat => "RedHat",
        OsFamily::Other => name,
    };
    let numbers: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let major = numbers.first().copied();
    // Ubuntu's releases are told by year and month.
    let finger = match (id.as_str(), major) {
        ("ubuntu", _) | (_, None) => format!("{name}-{version}"),
        ("debian", Some(major)) => format!("{name}-{major}"),
        (_, Some(major)) => format!("{full}-{major}"),
    };
    [
        ("os", json!(name)),
        ("os_family", json!(family)),
        ("oscodename", json!(codename)),
        ("osfinger", json!(finger)),
        ("osfullname", json!(full)),
        ("osmajorrelease", json!(major)),
        ("osrelease", json!(version)),
        ("osrelease_info", json!(numbers)),
    ]
}

fn planes(grains: &Grains, networks: &Networks) -> Value {
    let planes =
        [("control_plane_ip", &networks.control_plane), ("workload_plane_ip", &networks.workload_plane)];
    let found = planes
        .into_iter()
        .filter_map(|(name, ranges)| Some((name.to_owned(), json!(grains.address_in(ranges)?))));
    found.collect::<Map<_, _>>().into()
}

fn addresses(grains: &Grains, is_wanted: impl Fn(&IpAddr) -> bool) -> Value {
    let mut found: Vec<IpAddr> = grains.addresses.iter().map(|address| address.network.addr()).collect();
    found.retain(is_wanted);
    found.sort();
    found.dedup();
    json!(found)
}

fn interfaces(grains: &Grains, is_wanted: impl Fn(&IpAddr) -> bool) -> Value {
    let mut interfaces: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for address in &grains.addresses {
        let of_it = interfaces.entry(&address.interface).or_default();
        of_it.extend(Some(address.network.addr()).filter(&is_wanted));
    }
    json!(interfaces)
}
