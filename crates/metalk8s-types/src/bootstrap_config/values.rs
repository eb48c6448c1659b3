//! Single values.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
};

use ipnet::{IpNet, Ipv4Net};

use super::{
    mistake::{MistakeCode, quote},
    reader::Reader,
    yaml::Node,
};

/// What names a machine (RFC 1123, and the rules of Kubernetes for names of Nodes).
pub(super) const HOST_NAME: &str =
    "lower-case letters, digits and `-`, in labels of at most 63 characters joined by `.`";

const RANGE: &str = "an IPv4 range such as `10.200.1.0/28`";

/// Ranges in which no machine, pod or service can have an address.
const NOT_FOR_HOSTS: [(Ipv4Net, &str); 4] = [
    (net([0, 0, 0, 0], 8), "the range of `this network`"),
    (net([127, 0, 0, 0], 8), "the loopback range"),
    (net([224, 0, 0, 0], 4), "the multicast range"),
    (net([240, 0, 0, 0], 4), "the reserved range"),
];

const fn net([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// An IPv4 range whose prefix length is one of `prefixes`.
pub(super) fn range(
    reader: &mut Reader,
    node: &Node,
    key: &str,
    prefixes: RangeInclusive<u8>,
) -> Option<IpNet> {
    let text = reader.text(node, key, RANGE)?;
    let Ok(net) = text.parse::<IpNet>() else {
        let message = match text.parse::<IpAddr>() {
            Ok(_) => "this is an address without the length of its prefix",
            Err(_) => "this is no range",
        };
        reader.bad(node, key, message, RANGE);
        return None;
    };
    let IpNet::V4(net) = net else {
        reader.bad(node, key, "IPv6 is not supported: the parts of a cluster speak IPv4 only", RANGE);
        return None;
    };
    if net != net.trunc() {
        let meant = format!("`{}`", net.trunc());
        reader.bad(node, key, "this is an address within a range, not the range itself", &meant);
        return None;
    }
    if let Some((_, name)) =
        NOT_FOR_HOSTS.iter().find(|(other, _)| other.contains(&net.addr()) || net.contains(&other.addr()))
    {
        reader.bad(node, key, format!("this is in {name}, or holds it"), RANGE);
        return None;
    }
    if !prefixes.contains(&net.prefix_len()) {
        let (largest, smallest) = (prefixes.start(), prefixes.end());
        let size = if net.prefix_len() > *smallest { "small" } else { "large" };
        let accepted = format!("a prefix length from /{largest} to /{smallest}");
        reader.bad(node, key, format!("this range is too {size}"), &accepted);
        return None;
    }
    Some(IpNet::V4(net))
}

/// An IPv4 address.
pub(super) fn address(reader: &mut Reader, node: &Node, key: &str) -> Option<IpAddr> {
    const ADDRESS: &str = "an IPv4 address such as `10.200.1.1`";
    let text = reader.text(node, key, ADDRESS)?;
    match text.parse::<Ipv4Addr>() {
        Ok(address) if !address.is_unspecified() => Some(IpAddr::V4(address)),
        _ => {
            reader.bad(node, key, "this is no address of a machine", ADDRESS);
            None
        }
    }
}

/// `true` or `false`.
pub(super) fn boolean(reader: &mut Reader, node: &Node, key: &str) -> Option<bool> {
    const BOOLEAN: &str = "`true` or `false`";
    match reader.text(node, key, BOOLEAN)? {
        "true" => Some(true),
        "false" => Some(false),
        _ => {
            reader.bad(node, key, "this is neither true nor false", BOOLEAN);
            None
        }
    }
}

/// The largest packet of a network, in bytes.
pub(super) fn mtu(reader: &mut Reader, node: &Node, key: &str) -> Option<u32> {
    // Every IPv4 network carries packets of 576 bytes (RFC 791); none carries more than 65535.
    const MTU: &str = "a number of bytes from 576 to 65535, such as `1460`";
    let text = reader.text(node, key, MTU)?;
    match text.parse() {
        Ok(mtu @ 576..=65535) => Some(mtu),
        _ => {
            reader.bad(node, key, "this is no MTU", MTU);
            None
        }
    }
}

/// How long a certificate lives, in seconds.
pub(super) fn lifetime(reader: &mut Reader, node: &Node, key: &str) -> Option<u64> {
    // Below that, a renewal would begin before the one before it has settled; above, the authority ends first.
    const LIFETIME: &str = "a time from `5m` to `1825d`, in minutes, hours or days";
    let text = reader.text(node, key, LIFETIME)?;
    let units = [("m", 60), ("h", 3600), ("d", 86_400)];
    let seconds = units.into_iter().find_map(|(name, seconds)| {
        let number =
            text.strip_suffix(name).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        number.parse::<u64>().ok()?.checked_mul(seconds)
    });
    match seconds {
        Some(seconds @ 300..=157_680_000) => Some(seconds),
        _ => {
            reader.bad(node, key, "this is no lifetime of a certificate", LIFETIME);
            None
        }
    }
}

/// A name of a machine.
pub(super) fn host_name(reader: &mut Reader, node: &Node, key: &str) -> Option<String> {
    let text = reader.text(node, key, HOST_NAME)?;
    if is_host_name(text) {
        return Some(text.to_owned());
    }
    let lower = text.to_lowercase();
    if lower != text && is_host_name(&lower) {
        reader.bad(node, key, "the name of a Node has no capital letters", &quote(&lower));
    } else {
        reader.bad(node, key, "this is no name for a Node", HOST_NAME);
    }
    None
}

/// A name or an address by which clients call a server.
pub(super) fn name_or_address(reader: &mut Reader, node: &Node, key: &str) -> Option<String> {
    const NAME: &str =
        "a name such as `api.example.org`, in lower-case letters, or an address such as `10.200.1.100`";
    let text = reader.text(node, key, NAME)?;
    // What ends with a number is an address, or nothing (RFC 3696, section 2).
    let is_name =
        is_host_name(text) && text.rsplit('.').next().is_none_or(|last| last.parse::<u64>().is_err());
    if is_name || text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified()) {
        return Some(text.to_owned());
    }
    reader.bad(node, key, "this is neither a name nor an address of a server", NAME);
    None
}

/// Whether the text can name a machine and its Node.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(super) fn absolute_path(reader: &mut Reader, node: &Node, key: &str) -> Option<PathBuf> {
    const PATH: &str = "an absolute path such as `/archives/metalk8s.iso`";
    let text = reader.text(node, key, PATH)?;
    let path = Path::new(text);
    if !path.is_absolute() {
        let (found, message) = (Some(quote(text)), "this path is not absolute");
        reader.add(MistakeCode::RelativePath, node.place, key, message, found, Some(PATH));
        return None;
    }
    if path.components().any(|part| part == Component::ParentDir) || text.chars().any(char::is_control) {
        reader.bad(node, key, "a path must not go up with `..` or hold control characters", PATH);
        return None;
    }
    if path.parent().is_none() {
        reader.bad(node, key, "the root of the file system is no archive", PATH);
        return None;
    }
    Some(path.components().collect())
}

/// The address of a proxy.
pub(super) fn proxy(reader: &mut Reader, node: &Node, key: &str) -> Option<String> {
    const PROXY: &str = "`http://HOST:PORT` or `https://HOST:PORT`";
    let text = reader.text(node, key, PROXY)?;
    match check_proxy(text) {
        Ok(()) => Some(text.to_owned()),
        Err(message) => {
            // What stands before an `@` may be a password.
            let shown =
                text.rsplit_once('@').map_or_else(|| quote(text), |(_, host)| quote(&format!("…@{host}")));
            reader.add(MistakeCode::BadValue, node.place, key, message, Some(shown), Some(PROXY));
            None
        }
    }
}

fn check_proxy(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let rest = rest.ok_or("this is no address that begins with `http://` or `https://`")?;
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err("an address holds no white space");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("the address of a proxy ends with its port");
    }
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !host_and_port.ends_with(']') => (host, Some(port)),
        _ => (host_and_port, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err("this port is no number from 1 to 65535");
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = bracketed.is_some_and(|host| host.parse::<IpAddr>().is_ok())
        || is_host_name(&host.to_ascii_lowercase());
    if is_host { Ok(()) } else { Err("this names no host") }
}

/// A host, an address or a range that is reached without a proxy.
pub(super) fn proxy_exception(reader: &mut Reader, node: &Node, key: &str) -> Option<String> {
    const EXCEPTION: &str = "a host such as `.example.org`, an address, or a range such as `10.10.0.0/16`";
    let text = reader.text(node, key, EXCEPTION)?;
    let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let accepted = text.parse::<IpNet>().is_ok()
        || text.parse::<IpAddr>().is_ok()
        || (!looks_like_an_address(text) && is_host_name(&name.to_ascii_lowercase()));
    if !accepted {
        reader.bad(node, key, "this is no host, address or range", EXCEPTION);
        return None;
    }
    Some(text.to_owned())
}

/// Whether only digits and dots are there: a mistyped address, not the name of a host.
fn looks_like_an_address(text: &str) -> bool {
    text.contains('.') && text.chars().all(|character| character.is_ascii_digit() || character == '.')
}
