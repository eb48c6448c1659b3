//! Addresses and name servers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use metalk8s_types::grains::Address;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, sys::socket::SockaddrStorage};

/// Addresses of all interfaces but loopback, in the kernel's order.
pub(super) fn addresses() -> io::Result<Vec<Address>> {
    let found = getifaddrs()?.filter(|entry| !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK));
    Ok(found
        .filter_map(|entry| {
            let network = IpNet::with_netmask(ip(entry.address?)?, ip(entry.netmask?)?).ok()?;
            Some(Address { interface: entry.interface_name, network })
        })
        .collect())
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()).ip())
}

/// Name servers of resolv.conf(5).
pub(super) fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        // A link-local address may name its interface.
        words.next()?.split('%').next()?.parse().ok()
    });
    servers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_and_comments_are_not() {
        let text = "# nameserver 9.9.9.9\nsearch example\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver x\n";
        let expected: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(nameservers(text), expected);
    }
}
