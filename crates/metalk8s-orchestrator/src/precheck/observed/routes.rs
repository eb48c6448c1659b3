//! Routes, from /proc/net/route.

use std::{fs, net::Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::Route;

/// The routes of the main table, IPv4.
pub(super) fn collect() -> Vec<Route> {
    let text = fs::read_to_string("/proc/net/route").unwrap_or_default();
    text.lines().filter_map(route).collect()
}

/// A line: interface, destination, gateway, flags, counters, metric, mask. Numbers are in the order of this
/// machine.
fn route(line: &str) -> Option<Route> {
    let mut words = line.split_whitespace();
    let interface = words.next()?.to_owned();
    let destination = address(words.next()?)?;
    let mask = address(words.nth(5)?)?;
    let destination = IpNet::V4(Ipv4Net::with_netmask(destination, mask).ok()?.trunc());
    Some(Route { interface, destination })
}

fn address(text: &str) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_the_heading_is_not() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth0\t0001C80A\t00000000\t0001\t0\t0\t100\tF0FFFFFF\t0\t0\t0\n\
                    *\t0007E90A\t00000000\t0201\t0\t0\t1024\tC0FFFFFF\t0\t0\t0\n";
        let routes: Vec<String> = text
            .lines()
            .filter_map(route)
            .map(|route| format!("{} {}", route.interface, route.destination))
            .collect();
        assert_eq!(routes, ["eth0 0.0.0.0/0", "eth0 10.200.1.0/28", "* 10.233.7.0/26"]);
    }
}
