//! The stages of a Bootstrap node, kept beside as golden files.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use metalk8s_engine::State;
use metalk8s_formulas::{FormulaError, UpstreamManifests, bootstrap};
use metalk8s_types::{
    Grains, Pillar,
    grains::{Address, Cgroup, Disk, OperatingSystem, OsFamily},
    pillar::{ArchiveFacts, ArchiveMount, ImageFacts, Networks, NodeAddresses, Proxies},
};
use serde_json::json;

fn grains() -> Grains {
    Grains {
        hostname: "bootstrap".into(),
        os: OperatingSystem {
            id: "debian".into(),
            version: "12".into(),
            codename: "bookworm".into(),
            pretty_name: "Debian GNU/Linux 12 (bookworm)".into(),
            family: OsFamily::Debian,
        },
        kernel: "6.1.0-30-amd64".into(),
        cpus: 4,
        memory_bytes: 8 << 30,
        cgroup: Cgroup::V2,
        systemd_cgroups: true,
        container: false,
        swap: false,
        selinux_enforcing: false,
        conntrack_writable: true,
        oom_score_adjustable: true,
        addresses: vec![Address { interface: "eth0".into(), network: "10.200.1.2/28".parse().unwrap() }],
        nameservers: vec!["10.200.1.1".parse().unwrap()],
        disk: Disk { total_bytes: 100 << 30, free_bytes: 80 << 30 },
    }
}

fn pillar() -> Pillar {
    let images = [
        "pause",
        "metalk8s",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "coredns",
        "calico-node",
        "calico-kube-controllers",
    ];
    let packages =
        ["containerd", "runc", "cri-tools", "kubernetes-cni", "kubelet", "kubectl", "metalk8s-agent"];
    let image = |name: &&str| {
        ((*name).to_owned(), ImageFacts { tag: "1.2.3".into(), digest: format!("sha256:{}", "0".repeat(64)) })
    };
    Pillar {
        networks: Networks {
            control_plane: vec!["10.200.1.0/28".parse().unwrap()],
            workload_plane: vec!["10.200.1.0/28".parse().unwrap()],
            pods: "10.233.0.0/16".parse().unwrap(),
            services: "10.96.0.0/12".parse().unwrap(),
            workload_plane_mtu: None,
        },
        proxies: Proxies::default(),
        ca_node: "bootstrap".into(),
        node: NodeAddresses {
            control_plane: "10.200.1.2".parse().unwrap(),
            workload_plane: "10.200.1.2".parse().unwrap(),
        },
        archive: ArchiveFacts {
            version: "9.8.7".into(),
            root: "/srv/scality/metalk8s-9.8.7".into(),
            images: images.iter().map(image).collect(),
            packages: packages.iter().map(|name| ((*name).to_owned(), "1.2.3-1".to_owned())).collect(),
            components: BTreeMap::new(),
        },
        archives: vec![ArchiveMount {
            archive: "/archives/metalk8s.iso".into(),
            mountpoint: "/srv/scality/metalk8s-9.8.7".into(),
            is_image: true,
        }],
        masters: vec!["10.200.1.2".parse().unwrap()],
        repositories: vec!["10.200.1.2".parse().unwrap()],
    }
}

fn upstream() -> UpstreamManifests {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ippools.crd.projectcalico.org"},
    });
    UpstreamManifests::from([("calico".to_owned(), vec![crd])])
}

#[test]
fn a_physical_machine_gets_these_states() {
    for stage in bootstrap(&grains(), &pillar(), &upstream()).unwrap() {
        insta::with_settings!({filters => vec![(r"Made by MetalK8s [0-9.]+;", "Made by MetalK8s VERSION;")]}, {
            insta::assert_yaml_snapshot!(format!("physical-{}", stage.name), stage.graph);
        });
    }
}

#[test]
fn a_container_differs_only_in_what_its_host_decides() {
    let mut container = grains();
    container.container = true;
    container.cgroup = Cgroup::V1;
    container.systemd_cgroups = false;
    container.conntrack_writable = false;
    container.oom_score_adjustable = false;
    let changed = |grains: &Grains| {
        bootstrap(grains, &pillar(), &upstream())
            .unwrap()
            .into_iter()
            .flat_map(|stage| stage.graph.steps().to_vec())
            .map(|step| serde_json::to_string(&step).unwrap())
            .collect::<BTreeSet<_>>()
    };
    let names: BTreeSet<_> = changed(&container)
        .difference(&changed(&grains()))
        .map(|step| {
            serde_json::from_str::<serde_json::Value>(step).unwrap()["id"].as_str().unwrap().to_owned()
        })
        .filter(|id| !id.starts_with("kernel "))
        .collect();
    let expected = ["ConfigMap kube-system/kube-proxy", "containerd configuration", "kubelet configuration"];
    assert_eq!(names, expected.map(str::to_owned).into());
}

#[test]
fn every_image_of_a_pod_comes_from_the_archive() {
    let prefix = "metalk8s-registry-from-config.invalid/metalk8s-9.8.7/";
    let mut seen = 0;
    for stage in bootstrap(&grains(), &pillar(), &upstream()).unwrap() {
        for step in stage.graph.steps() {
            let spec = match &step.state {
                State::StaticPod(pod) => &pod.manifest["spec"],
                State::Object(object) => &object.manifest["spec"]["template"]["spec"],
                _ => continue,
            };
            for list in ["initContainers", "containers"] {
                for container in spec[list].as_array().into_iter().flatten() {
                    let image = container["image"].as_str().unwrap();
                    assert!(image.starts_with(prefix), "{} uses {image}", step.id);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} containers were looked at");
}

#[test]
fn a_proxy_opens_other_registries_and_nothing_else_does() {
    let registries = |pillar: &Pillar| {
        bootstrap(&grains(), pillar, &upstream())
            .unwrap()
            .iter()
            .flat_map(|stage| stage.graph.steps())
            .filter_map(|step| step.id.as_str().strip_prefix("registry ").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(registries(&pillar()), ["_default", "metalk8s-registry-from-config.invalid"]);
    let mut proxied = pillar();
    proxied.proxies.https = Some("http://proxy:3128".into());
    assert_eq!(registries(&proxied), ["metalk8s-registry-from-config.invalid"]);
}

#[test]
fn an_archive_without_an_image_is_named() {
    let mut pillar = pillar();
    pillar.archive.images.remove("etcd");
    let error = bootstrap(&grains(), &pillar, &upstream()).unwrap_err();
    assert!(matches!(&error, FormulaError::Missing { what: "image", name, .. } if name == "etcd"), "{error}");
}
