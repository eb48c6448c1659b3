//! The BootstrapConfiguration, checked, as settings.

use std::path::Path;

use metalk8s_diagnostics::{Problem, Problems, explain};
use serde::Deserialize;

use crate::pillar::Settings;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    networks: FileNetworks,
    ca: FileCa,
    archives: Vec<std::path::PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileNetworks {
    control_plane: ipnet::IpNet,
    workload_plane: ipnet::IpNet,
    pods: Option<ipnet::IpNet>,
    services: Option<ipnet::IpNet>,
}

#[derive(Deserialize)]
struct FileCa {
    minion: String,
}

/// Reads the text of a configuration.
///
/// # Errors
/// All its mistakes.
pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Settings, Problems> {
    let bad = |message: String| {
        let problem = Problem::new(explain::CONFIG_BAD_VALUE, message).in_file(path);
        Problems::new(format!("the configuration `{}` is not valid", path.display()), vec![problem])
    };
    let text = std::str::from_utf8(text).map_err(|err| bad(err.to_string()))?;
    let file: File = serde_saphyr::from_str(text).map_err(|err| bad(err.to_string()))?;
    let default = |text: &str| text.parse().expect("the default is a network");
    Ok(Settings {
        networks: metalk8s_types::pillar::Networks {
            control_plane: vec![file.networks.control_plane],
            workload_plane: vec![file.networks.workload_plane],
            pods: file.networks.pods.unwrap_or_else(|| default("10.233.0.0/16")),
            services: file.networks.services.unwrap_or_else(|| default("10.96.0.0/12")),
            workload_plane_mtu: None,
        },
        proxies: metalk8s_types::pillar::Proxies::default(),
        ca_node: file.ca.minion,
        archives: file.archives,
    })
}
