//! Facts of the machine, and what was configured.

use metalk8s_types::{
    BootstrapConfiguration,
    fake::address,
    grains::{OperatingSystem, OsFamily},
};
use serde_json::json;

use crate::fake::{CONFIGURATION, Fake, fake};

#[test]
fn the_address_in_the_control_plane_is_printed_below_local() {
    assert_eq!(fake().prints(&["grains.get", "metalk8s:control_plane_ip"]), "local:\n    10.200.1.2\n");
    assert_eq!(fake().prints(&["grains.get", "metalk8s:workload_plane_ip"]), "local:\n    10.200.2.2\n");
}

#[test]
fn without_a_configuration_or_with_two_addresses_a_plane_has_no_address() {
    let bare = Fake { configuration: None, ..fake() };
    assert_eq!(bare.prints(&["grains.get", "metalk8s:control_plane_ip"]), "local:\n");
    let mut two = fake();
    two.grains.addresses.push(address("eth0", "10.200.1.3/28"));
    assert_eq!(two.value(&["grains.get", "metalk8s"]), json!({"workload_plane_ip": "10.200.2.2"}));
}

#[test]
fn the_networks_are_shown_in_the_layout_of_the_file() {
    let fake = fake();
    assert_eq!(
        fake.prints(&["pillar.get", "networks"]),
        "\
local:
    ----------
    control_plane:
        10.200.1.0/28
    pod:
        10.233.0.0/16
    service:
        10.96.0.0/12
    workload_plane:
        10.200.2.0/28
"
    );
    let later = CONFIGURATION
        .replace("v1alpha2", "v1alpha3")
        .replace(
            "controlPlane: 10.200.1.0/28",
            "controlPlane: {cidr: 10.200.1.0/28, ingress: {ip: 10.200.1.9}}",
        )
        .replace("workloadPlane: 10.200.2.0/28", "workloadPlane: {cidr: [10.200.2.0/28], mtu: 1400}");
    let configuration = Some(BootstrapConfiguration::parse(later.as_bytes()).unwrap());
    let later = Fake { configuration, ..fake };
    assert_eq!(
        later.value(&["pillar.get", "networks:control_plane"]),
        json!({"cidr": ["10.200.1.0/28"], "ingress": {"ip": "10.200.1.9"}})
    );
    assert_eq!(
        later.value(&["pillar.get", "networks:workload_plane"]),
        json!({"cidr": ["10.200.2.0/28"], "mtu": 1400})
    );
}

#[test]
fn the_pillar_holds_archives_the_authority_and_the_proxies_that_were_given() {
    let pillar = fake().value(&["pillar.items"]);
    assert_eq!(
        pillar["metalk8s"],
        json!({"archives": ["/archives/metalk8s.iso"], "ca": {"minion": "bootstrap"}})
    );
    assert_eq!(pillar["proxies"], json!({"http": "http://proxy.example:3128"}));
    let bare = Fake { configuration: None, ..fake() };
    assert_eq!(bare.prints(&["pillar.get", "networks"]), "local:\n");
    assert_eq!(bare.value(&["pillar.get", "networks:pod", "[a]"]), json!(["a"]));
    assert_eq!(bare.value(&["pillar.get", "networks", "default=5"]), json!(5));
}

#[test]
fn grains_have_salts_names_and_are_listed_sorted() {
    let fake = fake();
    let grains = fake.value(&["grains.items"]);
    for (name, expected) in [
        ("id", json!("bootstrap.example.com")),
        ("host", json!("bootstrap")),
        ("domain", json!("example.com")),
        ("os", json!("Debian")),
        ("os_family", json!("Debian")),
        ("osfinger", json!("Debian-12")),
        ("osfullname", json!("Debian GNU/Linux")),
        ("osmajorrelease", json!(12)),
        ("osrelease", json!("12")),
        ("osrelease_info", json!([12])),
        ("mem_total", json!(16384)),
        ("ip4_interfaces", json!({"eth0": ["10.200.1.2"], "eth1": ["10.200.2.2"]})),
        ("ipv6", json!(["fd00::2"])),
    ] {
        assert_eq!(grains[name], expected, "{name}");
    }
    let names = fake.value(&["grains.ls"]);
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"metalk8s"), "{names:?}");
}

#[test]
fn systems_are_called_as_salt_calls_them() {
    let mut fake = fake();
    for (id, version, family, os, os_family, finger) in [
        ("ubuntu", "24.04", OsFamily::Debian, "Ubuntu", "Debian", "Ubuntu-24.04"),
        ("rocky", "9.4", OsFamily::RedHat, "Rocky", "RedHat", "Rocky Linux-9"),
        ("arch", "", OsFamily::Other, "arch", "arch", "arch-"),
    ] {
        fake.grains.os = OperatingSystem {
            id: id.to_owned(),
            version: version.to_owned(),
            codename: String::new(),
            pretty_name: id.to_owned(),
            family,
        };
        let get = |name: &str| fake.value(&["grains.get", name]);
        assert_eq!(
            (get("os"), get("os_family"), get("osfinger")),
            (json!(os), json!(os_family), json!(finger))
        );
    }
}

#[test]
fn several_facts_and_settings_come_under_their_names() {
    let fake = fake();
    assert_eq!(fake.value(&["grains.item", "os", "nonesuch"]), json!({"os": "Debian", "nonesuch": ""}));
    assert_eq!(fake.value(&["pillar.item", "networks:pod"]), json!({"networks:pod": "10.233.0.0/16"}));
    assert_eq!(fake.value(&["pillar.ls"]), json!(["metalk8s", "networks", "proxies"]));
    assert_eq!(fake.value(&["config.get", "os"]), json!("Debian"));
    assert_eq!(fake.value(&["config.get", "networks:pod"]), json!("10.233.0.0/16"));
    assert_eq!(fake.value(&["test.echo", "hello"]), json!("hello"));
}

#[test]
fn facts_cannot_be_set() {
    let message = fake().refuses(&["grains.setval", "os", "x"]);
    assert_eq!(
        message,
        "`grains.setval` is not offered: facts are told by the machine itself, and nobody sets them"
    );
}

#[test]
fn interfaces_are_told_in_salts_shape() {
    let fake = fake();
    let said = r#"[
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "address": "00:00:00:00:00:00", "addr_info": [
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host", "label": "lo"},
            {"family": "inet6", "local": "::1", "prefixlen": 128, "scope": "host"}]},
        {"ifname": "ifb0", "flags": ["NOARP"], "address": "ee:a9:6d:fe:0a:dd", "addr_info": []},
        {"ifname": "eth0", "flags": ["UP"], "address": "02:fc:00:00:00:01", "addr_info": [
            {"family": "inet", "local": "192.0.2.2", "prefixlen": 24, "broadcast": "192.0.2.255",
             "label": "eth0"}]}
    ]"#;
    fake.host.change_world(|world| {
        let argv = ["ip", "-json", "address", "show"].map(str::to_owned).to_vec();
        world.says.insert(argv, said.to_owned());
    });
    assert_eq!(
        fake.value(&["network.interfaces"]),
        json!({
            "lo": {
                "up": true, "hwaddr": "00:00:00:00:00:00",
                "inet": [{"address": "127.0.0.1", "netmask": "255.0.0.0", "broadcast": null, "label": "lo"}],
                "inet6": [{"address": "::1", "prefixlen": "128", "scope": "host"}],
            },
            "ifb0": {"up": false, "hwaddr": "ee:a9:6d:fe:0a:dd"},
            "eth0": {
                "up": true, "hwaddr": "02:fc:00:00:00:01",
                "inet": [{
                    "address": "192.0.2.2", "netmask": "255.255.255.0", "broadcast": "192.0.2.255",
                    "label": "eth0",
                }],
            },
        })
    );
    assert_eq!(fake.value(&["network.interface_ip", "eth0"]), json!("192.0.2.2"));
    assert_eq!(fake.value(&["network.interface_ip", "ifb0"]), json!(""));
    assert_eq!(fake.value(&["network.hw_addr", "eth0"]), json!("02:fc:00:00:00:01"));
    assert!(fake.refuses(&["network.hw_addr", "eth9"]).contains("`eth0`"));
    assert_eq!(fake.value(&["network.ip_addrs6"]), json!(["fd00::2"]));
}

#[test]
fn a_machine_tells_of_its_certificates_and_why_it_cannot_tell_of_its_health() {
    let fake = fake();
    let told = fake.value(&["metalk8s.certificates"]);
    assert_eq!(told, json!([{"file": "/etc/kubernetes/admin.conf"}]));
    let error = fake.call(&["metalk8s.health"]).unwrap_err();
    assert!(metalk8s_diagnostics::sentence(&error).contains("the disk cannot be read"), "{error}");
    assert!(fake.call(&["metalk8s.certificates", "node-1"]).is_err());
}
