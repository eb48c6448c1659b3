//! Accepted: it keeps its promises, written out again it says the same, and archives can be added. Refused: each mistake has a place in
//! the file and a short message on one line. Shared with the fuzz target `configuration`.

use std::path::PathBuf;

use metalk8s_types::{
    BootstrapConfiguration,
    bootstrap_config::{Mistake, Version},
};
use serde_json::json;

/// A key of 60 characters for each level, two quotes of 60, and words of ours.
const LONGEST_MISTAKE: usize = 3000;
/// As many values of a file are read, and each may hold a few mistakes.
const MOST_MISTAKES: usize = 4 * 10_000;

pub(crate) fn check(bytes: &[u8]) {
    match BootstrapConfiguration::parse(bytes) {
        Ok(configuration) => {
            check_promises(&configuration);
            check_adding(bytes, &configuration);
            let again = BootstrapConfiguration::parse(render(&configuration).as_bytes());
            assert_eq!(again, Ok(configuration));
        }
        Err(mistakes) => check_mistakes(bytes, &mistakes),
    }
}

/// What can be added to says what it said, and the new archive.
fn check_adding(bytes: &[u8], configuration: &BootstrapConfiguration) {
    let text = str::from_utf8(bytes).expect("it was read as a text");
    let new = PathBuf::from("/archives/a new one.iso");
    if configuration.archives.contains(&new) {
        return;
    }
    if let Ok(edited) = BootstrapConfiguration::with_archives(text, std::slice::from_ref(&new)) {
        let mut wished = configuration.clone();
        wished.archives.push(new);
        assert_eq!(BootstrapConfiguration::parse(edited.as_bytes()), Ok(wished), "{text:?}");
    }
}

fn check_promises(configuration: &BootstrapConfiguration) {
    let BootstrapConfiguration {
        version: _,
        networks,
        ingress_ip,
        proxies,
        certificates,
        ca_minion,
        archives,
        api_server_names,
        feature_gates,
        addons: _,
    } = configuration;
    // A certificate must end before its authority.
    assert!((300..3650 * 86_400).contains(&certificates.lifetime_seconds));
    let planes = || networks.control_plane.iter().chain(&networks.workload_plane);
    assert!(!networks.control_plane.is_empty() && !networks.workload_plane.is_empty());
    for net in planes().chain([&networks.pods, &networks.services]) {
        assert!(net.addr().is_ipv4() && *net == net.trunc(), "{net}");
    }
    let apart = |one: &ipnet::IpNet, other: &ipnet::IpNet| {
        !one.contains(&other.network()) && !other.contains(&one.network())
    };
    assert!(apart(&networks.pods, &networks.services));
    assert!(planes().all(|net| apart(net, &networks.pods) && apart(net, &networks.services)));
    assert!(ingress_ip.is_none_or(|ip| ip.is_ipv4() && !ip.is_unspecified()));
    assert!((1..=253).contains(&ca_minion.len()) && !ca_minion.contains(['/', ' ', '_']));
    assert!(!archives.is_empty());
    for (number, path) in archives.iter().enumerate() {
        let text = path.to_str().expect("it was read from a text");
        assert!(path.is_absolute() && path.parent().is_some(), "{text}");
        assert!(text[1..].split('/').all(|part| !matches!(part, "" | "." | "..")), "{text:?}");
        assert!(!archives[..number].contains(path), "{text} is there twice");
    }
    let texts =
        proxies.http.iter().chain(&proxies.https).chain(&proxies.no_proxy).chain(feature_gates.keys());
    for text in texts.chain(api_server_names) {
        assert!(
            !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace()),
            "{text:?}"
        );
    }
}

/// The same configuration, every key written out. JSON is YAML.
fn render(configuration: &BootstrapConfiguration) -> String {
    let BootstrapConfiguration {
        version,
        networks,
        ingress_ip,
        proxies,
        certificates,
        ca_minion,
        archives,
        api_server_names,
        feature_gates,
        addons,
    } = configuration;
    let version = match version {
        Version::V1Alpha2 => "metalk8s.scality.com/v1alpha2",
        Version::V1Alpha3 => "metalk8s.scality.com/v1alpha3",
    };
    json!({
        "apiVersion": version,
        "kind": "BootstrapConfiguration",
        "networks": {
            "controlPlane": { "cidr": networks.control_plane, "ingress": { "ip": ingress_ip } },
            "workloadPlane": { "cidr": networks.workload_plane, "mtu": networks.workload_plane_mtu },
            "pods": networks.pods,
            "services": networks.services,
        },
        "proxies": proxies,
        "certificates": { "lifetime": format!("{}m", certificates.lifetime_seconds / 60) },
        "ca": { "minion": ca_minion },
        "archives": archives,
        "kubernetes": { "apiServer": { "certSANs": api_server_names, "featureGates": feature_gates } },
        "addons": {
            "calico": { "bgp": { "enabled": addons.calico_bgp } },
            "metallb": { "enabled": addons.metallb },
        },
    })
    .to_string()
}

fn check_mistakes(bytes: &[u8], mistakes: &[Mistake]) {
    assert!((1..=MOST_MISTAKES).contains(&mistakes.len()), "{} mistakes", mistakes.len());
    assert!(mistakes.is_sorted_by_key(|mistake| (mistake.line, mistake.column)));
    // YAML also knows lines that end with a carriage return.
    let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    for mistake in mistakes {
        let text = mistake.to_string();
        assert!(mistake.column > 0 && (1..=lines + 1).contains(&mistake.line), "of {lines} lines: {text}");
        assert!(text.len() < LONGEST_MISTAKE && !text.contains(char::is_control), "{text:?}");
    }
}
