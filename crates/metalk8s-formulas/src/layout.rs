//! Addresses, versions and texts that several formulas agree on.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use metalk8s_types::{Pillar, header};
use serde_json::Value;

/// The DNS domain of the cluster (constants.md, section 2).
pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";
/// Where the local balancer of the API servers listens (NET-12).
pub(crate) const APISERVER_PROXY: &str = "127.0.0.1:7443";
/// Where kubectl keeps what it learns of an API server when we call it.
pub(crate) const KUBECTL_CACHE: &str = "/run/metalk8s/kubectl";

/// Seconds that a root is valid for: ten years. It is renewed with its own key, so its life need not be settable.
pub const AUTHORITY_LIFETIME: u64 = 3650 * 86_400;

/// A YAML file with our header.
pub(crate) fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).expect("a JSON value has a YAML form");
    format!("{}{text}", header())
}

/// A TOML file with our header.
pub(crate) fn toml(value: &Value) -> String {
    let text = toml::to_string(value).expect("our configurations hold no null and only text keys");
    format!("{}{text}", header())
}

/// Address number `n` of a range: services have fixed ones (constants.md, section 2).
pub(crate) fn nth_address(network: &IpNet, n: u32) -> IpAddr {
    match network {
        IpNet::V4(network) => IpAddr::V4(Ipv4Addr::from(u32::from(network.network()) + n)),
        IpNet::V6(network) => IpAddr::V6((u128::from(network.network()) + u128::from(n)).into()),
    }
}

/// The address of the Service `kubernetes`: the first.
pub(crate) fn kubernetes_service(pillar: &Pillar) -> IpAddr {
    nth_address(&pillar.networks.services, 1)
}

/// The address of the cluster's DNS: the tenth.
pub(crate) fn dns_service(pillar: &Pillar) -> IpAddr {
    nth_address(&pillar.networks.services, 10)
}

/// Whom the cluster's DNS must know: the server, the name, and its address.
pub fn known_name(services: &IpNet) -> (IpAddr, String, IpAddr) {
    let name = format!("kubernetes.default.svc.{CLUSTER_DOMAIN}");
    (nth_address(services, 10), name, nth_address(services, 1))
}

/// An address with a port, as in URLs.
pub(crate) fn endpoint(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_the_documented_addresses() {
        let services: IpNet = "10.96.0.0/12".parse().unwrap();
        assert_eq!(nth_address(&services, 1).to_string(), "10.96.0.1");
        assert_eq!(nth_address(&services, 10).to_string(), "10.96.0.10");
    }

    #[test]
    fn generated_files_say_who_made_them() {
        let text = yaml(&serde_json::json!({"a": 1}));
        assert!(text.starts_with("# Made by MetalK8s "), "{text}");
        assert!(text.ends_with("a: 1\n"), "{text}");
    }
}
