//! Who listens on which TCP port, from /proc (proc_net_tcp, proc_pid_fd(5)).

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::Listener;

/// The state of a listening socket (`TCP_LISTEN` of the kernel).
const LISTEN: &str = "0A";

/// A line of /proc/net/tcp or tcp6.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// All TCP ports that somebody listens on.
pub(super) fn collect() -> Vec<Listener> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        sockets.extend(text.lines().filter_map(listening));
    }
    let owners = owners(Path::new("/proc"));
    sockets
        .into_iter()
        .map(|Socket { address, port, inode }| Listener {
            port,
            address,
            process: owners.get(&inode).cloned(),
        })
        .collect()
}

/// The socket of a line, if it listens.
fn listening(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Socket {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

/// An address as the kernel prints it: words of four bytes, each in the order of this machine.
fn parse_address(text: &str) -> Option<IpAddr> {
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut bytes = Vec::new();
    for word in text.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?);
    Some(v6.to_canonical())
}

/// The names of programs by the inodes of the sockets they hold.
fn owners(proc: &Path) -> HashMap<u64, String> {
    let mut owners = HashMap::new();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        let path = process.path();
        let is_process = process.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        let Some(name) = is_process.then(|| fs::read_to_string(path.join("comm")).ok()).flatten() else {
            continue;
        };
        for entry in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                owners.insert(inode, name.trim().to_owned());
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_read_and_others_are_not() {
        let listening_line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(
            listening(listening_line),
            Some(Socket { address: [127, 0, 0, 1].into(), port: 8080, inode: 4711 })
        );
        assert_eq!(listening(&listening_line.replace(" 0A ", " 01 ")), None);
        assert_eq!(
            listening("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"),
            None
        );
        assert_eq!(listening(""), None);
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        assert_eq!(parse_address("00000000"), Some(IpAddr::from([0, 0, 0, 0])));
        assert_eq!(parse_address(&"0".repeat(32)), Some(Ipv6Addr::UNSPECIFIED.into()));
        assert_eq!(parse_address("0000000000000000FFFF00000100007F"), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(parse_address("0000000000000000000000000100000"), None);
        assert_eq!(parse_address("xyz"), None);
    }
}
