//! The two networks of a lab: the control plane and the workload plane.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use ipnet::Ipv4Net;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    podman::{LAB_LABEL, Podman, PodmanError},
    process::{self, RunError},
};

/// Tells which plane a network is; its value is `control` or `workload`.
const PLANE_LABEL: &str = "com.metalk8s.plane";
const DEADLINE: Duration = Duration::from_secs(20);
/// The address of the first machine within a network; the next ones follow.
const FIRST_MACHINE: u8 = 10;
/// The computer's own address within a network.
const COMPUTER: u8 = 1;

/// The networks of one lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    /// The control plane.
    pub control: Network,
    /// The workload plane.
    pub workload: Network,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name at the container engine.
    pub name: String,
    /// Its addresses, such as `198.18.7.0/24`.
    pub subnet: Ipv4Net,
    /// The computer's interface in it.
    pub interface: String,
}

/// Why there are no networks.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The container engine refused.
    #[error("could not make or look up the lab's networks")]
    Podman(#[from] PodmanError),
    /// The computer's own addresses could not be read or set.
    #[error("could not read or set the computer's addresses")]
    Addresses(#[from] RunError),
    /// The computer's own address could not be set.
    #[error("could not give the computer the address `{address}` on `{interface}`: {reason}")]
    OwnAddress {
        /// The address with its prefix.
        address: String,
        /// The bridge.
        interface: String,
        /// What `ip` said.
        reason: String,
    },
    /// All subnets meant for labs are in use.
    #[error("none of the 256 pairs of subnets in 198.18.0.0/15 is free on this computer")]
    NoneFree,
    /// A network of the lab is not as this program makes them.
    #[error("the network `{name}` is not as a lab makes it")]
    Foreign {
        /// The network.
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    network_interface: String,
    #[serde(default)]
    subnets: Vec<Subnet>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Subnet {
    subnet: String,
}

impl Networks {
    /// The lab's networks as they are; `None` where one is missing.
    pub fn find(podman: &Podman, lab: &str) -> Result<Option<Self>, NetworkError> {
        let found = list(podman)?;
        let plane = |plane: &str| find_plane(&found, lab, plane).map(network_of).transpose();
        Ok(plane("control")?.zip(plane("workload")?).map(|(control, workload)| Self { control, workload }))
    }

    /// Makes what is missing, on subnets that nobody on this computer uses.
    ///
    /// The caller holds the lock on subnets, so that two labs do not choose the same.
    pub fn ensure(podman: &Podman, lab: &str) -> Result<Self, NetworkError> {
        let found = list(podman)?;
        let made = ["control", "workload"].into_iter().find_map(|plane| find_plane(&found, lab, plane));
        let number = match made {
            // One of the pair is there: a former run ended between the two.
            Some(listed) => network_of(listed)?.subnet.network().octets()[2],
            None => free_number(preferred(lab), &used(&found)?).ok_or(NetworkError::NoneFree)?,
        };
        for (plane, subnet) in [("control", control(number)), ("workload", workload(number))] {
            if find_plane(&found, lab, plane).is_none() {
                create(podman, lab, plane, subnet)?;
            }
        }
        Self::find(podman, lab)?.ok_or(NetworkError::Foreign { name: name(lab, "control") })
    }

    /// Gives the computer an address in both networks, as it has none where the engine makes plain bridges.
    ///
    /// The addresses end with the networks. A bridge exists from the first start of a machine on.
    pub fn join(&self) -> Result<(), NetworkError> {
        for network in [&self.control, &self.workload] {
            let address =
                Ipv4Net::new_assert(network.host(COMPUTER), network.subnet.prefix_len()).to_string();
            let mut command = Command::new("ip");
            command.args(["address", "replace", &address, "dev", &network.interface]);
            let output = process::capture(&mut command, None, DEADLINE)?;
            if !output.success() {
                return Err(NetworkError::OwnAddress {
                    address,
                    interface: network.interface.clone(),
                    reason: output.stderr.trim().to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Network {
    /// The address of the machine with this number, counted from 0.
    pub fn machine(&self, index: u8) -> Ipv4Addr {
        self.host(FIRST_MACHINE.saturating_add(index))
    }

    fn host(&self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.subnet.network().octets();
        Ipv4Addr::new(a, b, c, last)
    }
}

/// Removes the lab's networks, whichever there are, and gives their names.
pub fn remove(podman: &Podman, lab: &str) -> Result<Vec<String>, NetworkError> {
    let found = list(podman)?;
    let mut removed = Vec::new();
    for listed in found.iter().filter(|listed| listed.label(LAB_LABEL) == Some(lab)) {
        podman.run(["network", "rm", "--force", &listed.name])?;
        removed.push(listed.name.clone());
    }
    Ok(removed)
}

fn create(podman: &Podman, lab: &str, plane: &str, subnet: Ipv4Net) -> Result<(), NetworkError> {
    // Internal: the computer's masquerading would otherwise rewrite what goes from a node to a pod elsewhere.
    podman.run([
        "network",
        "create",
        "--internal",
        "--disable-dns",
        "--subnet",
        &subnet.to_string(),
        "--label",
        &format!("{LAB_LABEL}={lab}"),
        "--label",
        &format!("{PLANE_LABEL}={plane}"),
        &name(lab, plane),
    ])?;
    Ok(())
}

fn name(lab: &str, plane: &str) -> String {
    format!("metalk8s-{lab}-{plane}")
}

fn list(podman: &Podman) -> Result<Vec<Listed>, NetworkError> {
    Ok(podman.query::<Option<Vec<Listed>>>(&["network", "ls"])?.unwrap_or_default())
}

fn find_plane<'a>(found: &'a [Listed], lab: &str, plane: &str) -> Option<&'a Listed> {
    found
        .iter()
        .find(|listed| listed.label(LAB_LABEL) == Some(lab) && listed.label(PLANE_LABEL) == Some(plane))
}

impl Listed {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}

fn network_of(listed: &Listed) -> Result<Network, NetworkError> {
    let foreign = || NetworkError::Foreign { name: listed.name.clone() };
    let subnet = listed.subnets.first().ok_or_else(foreign)?.subnet.parse().map_err(|_| foreign())?;
    Ok(Network { name: listed.name.clone(), subnet, interface: listed.network_interface.clone() })
}

/// Subnets of the container engine, of the computer's routes and of its interfaces.
fn used(found: &[Listed]) -> Result<Vec<Ipv4Net>, NetworkError> {
    let engine = found.iter().flat_map(|listed| &listed.subnets).map(|subnet| subnet.subnet.clone());
    let mut command = Command::new("ip");
    command.args(["-4", "route", "show", "table", "all"]);
    let routes = process::capture(&mut command, None, DEADLINE)?.stdout;
    let routes = routes.lines().map(destination).collect::<Vec<_>>();
    Ok(engine.chain(routes).filter_map(|text| parse(&text)).collect())
}

/// The destination in a line of `ip route`, which a word such as `local` may precede.
fn destination(route: &str) -> String {
    let kinds =
        ["local", "broadcast", "unreachable", "prohibit", "blackhole", "throw", "multicast", "unicast"];
    route.split_whitespace().find(|word| !kinds.contains(word)).unwrap_or_default().to_owned()
}

fn parse(text: &str) -> Option<Ipv4Net> {
    let net: Option<Ipv4Net> = text.parse().ok();
    net.or_else(|| match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(_) => None,
    })
}

/// The same lab gets the same addresses again where they are free.
fn preferred(lab: &str) -> u8 {
    Sha256::digest(lab)[0]
}

fn free_number(preferred: u8, used: &[Ipv4Net]) -> Option<u8> {
    let overlaps = |net: &Ipv4Net| {
        used.iter().any(|used| used.contains(&net.network()) || net.contains(&used.network()))
    };
    (0..=u8::MAX)
        .map(|step| preferred.wrapping_add(step))
        .find(|number| !overlaps(&control(*number)) && !overlaps(&workload(*number)))
}

fn control(number: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(198, 18, number, 0), 24)
}

fn workload(number: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(198, 19, number, 0), 24)
}

#[cfg(test)]
mod tests;
