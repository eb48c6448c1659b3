//! Ranges that must be apart.

use ipnet::IpNet;

use super::{mistake::MistakeCode, read::Range, reader::Reader, yaml::Node};

/// Adds a mistake for each two ranges that overlap, but for two of machines: both planes may be one network.
///
/// `networks` is the place of ranges that nobody wrote.
pub(super) fn check(reader: &mut Reader, ranges: &[&Range<'_>], networks: &Node) {
    for (index, one) in ranges.iter().enumerate() {
        for other in &ranges[index + 1..] {
            if (one.is_plane && other.is_plane) || !overlap(&one.net, &other.net) {
                continue;
            }
            // The mistake is told where somebody wrote something.
            let (blamed, other) = if one.node.is_some() { (one, other) } else { (other, one) };
            let place = blamed.node.unwrap_or(networks).place;
            let by_default = if other.node.is_none() { ", which is the default" } else { "" };
            let message = format!("this range overlaps `{}` ({}{by_default})", other.key, other.net);
            let accepted = "a range that is used nowhere else in the infrastructure";
            let found = Some(format!("`{}`", blamed.net));
            reader.add(MistakeCode::Overlap, place, &blamed.key, message, found, Some(accepted));
        }
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}
