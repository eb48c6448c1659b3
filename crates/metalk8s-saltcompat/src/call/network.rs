//! Functions about the interfaces of the machine.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use metalk8s_engine::{Hands, state::Command};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, CallError, Minion, table::Link, text};

/// An interface, as `ip -json address show` tells it.
#[derive(Debug, Deserialize)]
struct Interface {
    #[serde(rename = "ifname")]
    name: String,
    #[serde(default)]
    flags: Vec<String>,
    /// The hardware address.
    address: Option<String>,
    #[serde(default, rename = "addr_info")]
    addresses: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    local: Option<IpAddr>,
    #[serde(rename = "prefixlen")]
    prefix: u8,
    broadcast: Option<String>,
    label: Option<String>,
    scope: Option<String>,
}

impl Call<'_> {
    pub(super) fn addresses(&self, ipv6: bool, minion: &dyn Minion) -> Result<Value, CallError> {
        self.takes(1, &["interface", "cidr"])?;
        let range = match self.words.named.get("cidr").map(text).map(|text| text.parse::<IpNet>()) {
            None => None,
            Some(Ok(range)) => Some(range),
            Some(Err(_)) => return Err(self.usage("`cidr=` is a range such as `10.0.0.0/8` or `fd00::/8`")),
        };
        let interface = self.words.positional.first().or(self.words.named.get("interface")).map(text);
        let grains = minion.grains().map_err(|source| CallError::Machine { what: "grains", source })?;
        let family = if ipv6 { "ip6_interfaces" } else { "ip4_interfaces" };
        let interfaces = grains[family].as_object().into_iter().flatten();
        let mut addresses: Vec<&str> = interfaces
            .filter(|(name, _)| interface.as_ref().is_none_or(|interface| interface == *name))
            .flat_map(|(_, addresses)| addresses.as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .filter(|address| {
                range
                    .is_none_or(|range| address.parse().is_ok_and(|ip: std::net::IpAddr| range.contains(&ip)))
            })
            .collect();
        addresses.sort_unstable();
        Ok(json!(addresses))
    }

    pub(super) async fn interfaces(&self, link: Link, hands: &dyn Hands) -> Result<Value, CallError> {
        let wanted = match link {
            Link::All => {
                self.no_words()?;
                String::new()
            }
            Link::Address | Link::Hardware => self.name("the name of an interface")?,
        };
        let argv = ["ip", "-json", "address", "show"].map(str::to_owned).to_vec();
        let ran = self.run(Command::new(argv), hands).await?;
        let found: Vec<Interface> = serde_json::from_str(&ran.stdout)
            .map_err(|source| CallError::Machine { what: "interfaces", source: source.into() })?;
        if let Link::All = link {
            let all = found.iter().map(|interface| (interface.name.clone(), interface.told()));
            return Ok(all.collect::<Map<_, _>>().into());
        }
        let Some(interface) = found.iter().find(|interface| interface.name == wanted) else {
            let names: Vec<String> = found.iter().map(|interface| format!("`{}`", interface.name)).collect();
            return Err(self.usage(format!("there is no interface `{wanted}` among {}", names.join(", "))));
        };
        Ok(match link {
            Link::Hardware => interface.address.clone().unwrap_or_default().into(),
            Link::All | Link::Address => interface.first_ipv4(),
        })
    }
}

impl Interface {
    /// Families without an address are left out, as Salt does.
    fn told(&self) -> Value {
        let mut told = json!({"up": self.flags.iter().any(|flag| flag == "UP")});
        if let Some(address) = &self.address {
            told["hwaddr"] = json!(address);
        }
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for address in &self.addresses {
            let Address { local, prefix, broadcast, label, scope } = address;
            match local {
                Some(IpAddr::V4(local)) => ipv4.push(json!({
                    "address": local,
                    "netmask": Ipv4Net::new(*local, *prefix).map(|net| net.netmask()).ok(),
                    "broadcast": broadcast,
                    "label": label,
                })),
                Some(IpAddr::V6(local)) => ipv6.push(json!({
                    "address": local,
                    "prefixlen": prefix.to_string(),
                    "scope": scope,
                })),
                None => {}
            }
        }
        for (family, addresses) in [("inet", ipv4), ("inet6", ipv6)] {
            if !addresses.is_empty() {
                told[family] = addresses.into();
            }
        }
        told
    }

    fn first_ipv4(&self) -> Value {
        let first = self.addresses.iter().filter_map(|address| address.local).find(IpAddr::is_ipv4);
        first.map_or_else(|| "".into(), |address| json!(address))
    }
}
