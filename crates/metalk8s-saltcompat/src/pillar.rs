//! Settings of the product as a tree that `pillar.get` shows.

use metalk8s_types::{
    BootstrapConfiguration,
    bootstrap_config::Version,
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
