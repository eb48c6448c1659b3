//! The API servers that this machine's balancer knows: they can be asked where the settings of the cluster cannot.

use std::{fs, io, net::SocketAddr};

use metalk8s_formulas::API_SERVERS_LIST;

/// The API servers that are listed for the balancer. Without settings it is not known what is wrong with a line that is
/// none, so it is passed over.
///
/// # Errors
/// When the list cannot be read, as on a machine that has none yet.
pub fn listed() -> io::Result<Vec<SocketAddr>> {
    Ok(addresses(&fs::read_to_string(API_SERVERS_LIST)?))
}

fn addresses(list: &str) -> Vec<SocketAddr> {
    list.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn comments_and_damage_are_passed_over() {
        let list = "# Made by\n10.0.0.1:6443\n\n \u{0}garbage\n[fd00::2]:6443 \n";
        assert_eq!(addresses(list), ["10.0.0.1:6443", "[fd00::2]:6443"].map(|each| each.parse().unwrap()));
    }
}
