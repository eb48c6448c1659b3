//! The container runtime, which pulls from our repositories and from nowhere else (BOOT-15, PKG-15).

use std::fmt::Write as _;

use metalk8s_engine::{
    Graph, State,
    state::{Condition, Directory, File, Service, Wait},
};
use metalk8s_types::{Grains, Pillar, header, paths};
use serde_json::json;

use crate::{
    bootstrap::{FormulaError, image},
    layout::{toml, yaml},
    repositories,
};

/// containerd is configured, runs, and answers on its socket.
pub(crate) fn running(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let config = graph.add(
        "containerd configuration",
        State::File(File::text(
            "/etc/containerd/config.toml",
            toml(&config(grains, &image(pillar, "pause")?)),
        )),
    );
    let drop_in = graph.add(
        "containerd drop-in",
        State::File(
            File::text(
                "/etc/systemd/system/containerd.service.d/50-metalk8s.conf",
                format!("{}[Service]\nLimitNOFILE=1048576\n{}", header(), proxy_environment(pillar)),
            )
            // A proxy's address may hold a password.
            .mode(0o600),
        ),
    );
    graph.add(
        "crictl configuration",
        State::File(File::text(
            "/etc/crictl.yaml",
            yaml(&json!({
                "runtime-endpoint": format!("unix://{}", paths::CONTAINERD_SOCKET),
                "image-endpoint": format!("unix://{}", paths::CONTAINERD_SOCKET),
                "timeout": 30,
            })),
        )),
    );
    graph.append(registries(pillar));
    let service = graph.add("containerd runs", State::Service(Service::running("containerd.service")));
    graph.watch(&service, &config);
    graph.watch(&service, &drop_in);
    let answers = graph.add(
        "containerd answers",
        State::Wait(Wait { until: Condition::Socket(paths::CONTAINERD_SOCKET.into()), deadline_seconds: 60 }),
    );
    graph.require(&answers, &service);
    Ok(graph)
}

/// Where containerd finds images. It reads this for each that it pulls.
pub(crate) fn registries(pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let certs = graph
        .add("directory of registries", State::Directory(Directory::new("/etc/containerd/certs.d", 0o755)));
    for (name, hosts) in repositories::registry_hosts(pillar) {
        let file = graph.add(
            format!("registry {name}"),
            State::File(File::text(format!("/etc/containerd/certs.d/{name}/hosts.toml"), toml(&hosts))),
        );
        graph.require(&file, &certs);
    }
    graph
}

/// containerd's configuration, version 3.
fn config(grains: &Grains, pause: &str) -> serde_json::Value {
    json!({
        "version": 3,
        "root": "/var/lib/containerd",
        "state": "/run/containerd",
        "oom_score": if grains.oom_score_adjustable { -999 } else { 0 },
        "grpc": {"address": paths::CONTAINERD_SOCKET},
        "plugins": {
            "io.containerd.cri.v1.images": {
                "snapshotter": "overlayfs",
                "pinned_images": {"sandbox": pause},
                "registry": {"config_path": "/etc/containerd/certs.d"},
            },
            "io.containerd.cri.v1.runtime": {
                "enable_selinux": grains.selinux_enforcing,
                "restrict_oom_score_adj": !grains.oom_score_adjustable,
                // By itself it asks the shim of each container once a second what it has used, a tenth of what an idle
                // node does; the kubelet takes its own figures, each 10 s.
                "stats_collect_period": "10s",
                "containerd": {
                    "default_runtime_name": "runc",
                    "runtimes": {"runc": {
                        "runtime_type": "io.containerd.runc.v2",
                        "options": {"SystemdCgroup": grains.systemd_cgroups},
                    }},
                },
                "cni": {"bin_dirs": ["/opt/cni/bin"], "conf_dir": "/etc/cni/net.d"},
            },
        },
    })
}

/// The proxies of BootstrapConfiguration as environment of the daemon (constants.md, section 8.1).
fn proxy_environment(pillar: &Pillar) -> String {
    let proxies = &pillar.proxies;
    let mut text = String::new();
    for (name, value) in [("HTTP_PROXY", &proxies.http), ("HTTPS_PROXY", &proxies.https)] {
        if let Some(value) = value {
            writeln!(text, "Environment=\"{name}={value}\"").expect("text grows");
        }
    }
    if !text.is_empty() {
        let networks = &pillar.networks;
        let mut bypass = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        bypass.extend(networks.control_plane.iter().map(ToString::to_string));
        bypass.extend(networks.workload_plane.iter().map(ToString::to_string));
        bypass.extend([networks.pods.to_string(), networks.services.to_string()]);
        bypass.extend(proxies.no_proxy.iter().cloned());
        writeln!(text, "Environment=\"NO_PROXY={}\"", bypass.join(",")).expect("text grows");
    }
    text
}
