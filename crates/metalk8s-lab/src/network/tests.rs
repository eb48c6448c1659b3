use ipnet::Ipv4Net;

use super::{Network, destination, free_number, parse};

fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_preferred_pair_is_taken_when_it_is_free() {
    assert_eq!(free_number(7, &nets(&["10.0.0.0/8", "198.18.6.0/24"])), Some(7));
}

#[test]
fn a_pair_is_passed_over_when_either_half_is_in_use() {
    assert_eq!(free_number(7, &nets(&["198.18.7.0/24"])), Some(8));
    assert_eq!(free_number(7, &nets(&["198.19.7.128/25"])), Some(8));
    assert_eq!(free_number(255, &nets(&["198.18.255.9/32"])), Some(0));
}

#[test]
fn a_wide_network_leaves_nothing() {
    assert_eq!(free_number(7, &nets(&["198.16.0.0/14"])), None);
}

#[test]
fn destinations_are_read_from_every_kind_of_route() {
    let routes = "default via 192.0.2.1 dev eth0\n198.18.7.0/24 dev br1 proto kernel\n\
                  local 198.18.9.1 dev br1 table local\nbroadcast 198.18.9.255 dev br1\n";
    let found: Vec<_> = routes.lines().map(destination).filter_map(|text| parse(&text)).collect();
    assert_eq!(found, nets(&["198.18.7.0/24", "198.18.9.1/32", "198.18.9.255/32"]));
}

#[test]
fn machines_are_counted_from_ten() {
    let network =
        Network { name: "n".to_owned(), subnet: "198.18.7.0/24".parse().unwrap(), interface: "b".to_owned() };
    assert_eq!(network.machine(0).to_string(), "198.18.7.10");
    assert_eq!(network.machine(3).to_string(), "198.18.7.13");
}
