//! The stages of nodes that join a cluster.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod machine;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use metalk8s_engine::{State, state::Signer};
use metalk8s_formulas::{as_one, certificates, node, of_role};
use metalk8s_types::{
    Grains, Pillar, Role,
    bootstrap_config::GivenSettings,
    fake, paths,
    pillar::{
        Addons, Certificates, ClusterPillar, ImageFacts, Networks, NodeAddresses, NodeWish, Proxies,
        VersionFacts,
    },
};
use serde_json::json;

fn grains() -> Grains {
    fake::grains("node-1", &["10.200.1.3/28"])
}

fn pillar(roles: &[Role]) -> Pillar {
    let images = ["pause", "metalk8s", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let packages = [
        "containerd",
        "runc",
        "cri-tools",
        "kubernetes-cni",
        "calico-cni-plugin",
        "kubelet",
        "kubectl",
        "metalk8s-agent",
    ];
    let image = |name: &&str| {
        ((*name).to_owned(), ImageFacts { tag: "1.2.3".into(), digest: format!("sha256:{}", "0".repeat(64)) })
    };
    let offered = packages.iter().map(|name| ((*name).to_owned(), "1.2.3-1".to_owned())).collect();
    let facts = VersionFacts {
        images: images.iter().map(image).collect(),
        packages: BTreeMap::from([("debian/bookworm".to_owned(), offered)]),
        components: BTreeMap::new(),
        program: "0".repeat(64),
        packages_key: "KEY\n".into(),
    };
    let authority = |name: &str| (name.to_owned(), format!("{name}\n"));
    let cluster = ClusterPillar {
        networks: Networks {
            control_plane: vec!["10.200.1.0/28".parse().unwrap()],
            workload_plane: vec!["10.200.1.0/28".parse().unwrap()],
            pods: "10.233.0.0/16".parse().unwrap(),
            services: "10.96.0.0/12".parse().unwrap(),
            workload_plane_mtu: None,
        },
        proxies: Proxies::default(),
        certificates: Certificates::default(),
        api_server_names: Vec::new(),
        addons: Addons::default(),
        ca_node: "bootstrap".into(),
        versions: BTreeMap::from([("9.8.7".to_owned(), facts)]),
        masters: BTreeMap::from([("bootstrap".to_owned(), "10.200.1.2".parse().unwrap())]),
        etcd: BTreeMap::from([("bootstrap".to_owned(), "10.200.1.2".parse().unwrap())]),
        repositories: BTreeMap::from([("bootstrap".to_owned(), "10.200.1.2".parse().unwrap())]),
        authorities: ["kubernetes", "etcd-ca", "front-proxy-ca", "metalk8s-repositories-ca"]
            .map(authority)
            .into(),
        tree: serde_json::Value::Null,
    };
    let wish = NodeWish {
        version: "9.8.7".into(),
        roles: roles.iter().copied().collect(),
        addresses: NodeAddresses {
            control_plane: "10.200.1.3".parse().unwrap(),
            workload_plane: "10.200.1.3".parse().unwrap(),
        },
        initial_cluster: Some("bootstrap=https://10.200.1.2:2380,node-1=https://10.200.1.3:2380".into()),
    };
    cluster.of_node(&wish, "debian/bookworm").unwrap()
}

fn states(roles: &[Role]) -> Vec<State> {
    let all = as_one(node(&grains(), &pillar(roles)).unwrap());
    all.validate().unwrap();
    all.steps().iter().map(|step| step.state.clone()).collect()
}

#[test]
fn a_worker_gets_these_states() {
    for stage in node(&grains(), &pillar(&[Role::Node])).unwrap() {
        insta::with_settings!({filters => vec![(r"Made by MetalK8s [0-9.]+;", "Made by MetalK8s VERSION;")]}, {
            insta::assert_yaml_snapshot!(format!("worker-{}", stage.name), stage.graph);
        });
    }
}

#[test]
fn every_combination_of_roles_is_one_sound_graph() {
    let roles = [Role::Etcd, Role::Infra, Role::Master, Role::Node];
    for chosen in 0_u32..16 {
        let chosen: Vec<Role> = roles
            .iter()
            .enumerate()
            .filter(|(bit, _)| chosen & (1 << bit) != 0)
            .map(|(_, role)| *role)
            .collect();
        let pods: BTreeSet<String> = states(&chosen)
            .iter()
            .filter_map(|state| match state {
                State::StaticPod(pod) => Some(pod.path.file_stem()?.to_str()?.to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(pods.contains("etcd"), chosen.contains(&Role::Etcd), "{chosen:?}");
        assert_eq!(pods.contains("kube-apiserver"), chosen.contains(&Role::Master), "{chosen:?}");
        assert!(pods.contains("apiserver-proxy"), "{chosen:?}");
        assert!(!pods.contains("repositories") && !pods.contains("salt-master"), "{chosen:?}");
    }
}

#[test]
fn one_role_has_what_all_need_and_what_only_it_brings() {
    let pillar = pillar(&[Role::Etcd, Role::Infra, Role::Master]);
    let highstate = node(&grains(), &pillar).unwrap();
    let stages = |role: Role| -> Vec<&str> {
        let chosen = of_role(role, highstate.clone(), &grains(), &pillar).unwrap();
        assert!(chosen.iter().all(|stage| highstate.contains(stage)), "{role}");
        chosen.iter().map(|stage| stage.name).collect()
    };
    let base = ["system", "packages", "pki", "containerd", "kubelet"];
    assert_eq!(stages(Role::Infra), base);
    assert_eq!(stages(Role::Etcd), ["system", "packages", "pki", "containerd", "etcd", "kubelet"]);
    assert_eq!(stages(Role::Master), [&base[..], &["control-plane"]].concat());
}

#[test]
fn settings_given_for_one_run_stand_in_the_states_of_that_run() {
    let given = json!({
        "metalk8s": {"nodes": {
            "bootstrap": {"roles": ["master"], "ip": "10.200.1.2"},
            "other": {"roles": ["master"], "ip": "10.200.1.9"},
        }},
        "networks": {
            "control_plane": "10.200.1.0/28",
            "workload_plane": "10.200.1.0/28",
            "pod": "10.234.0.0/16",
            "service": "10.97.0.0/16",
        },
    });
    let given = GivenSettings::read(&given, given.as_object().unwrap()).unwrap();
    let text = |pillar: &Pillar, stage: &str| -> String {
        let stages = node(&grains(), pillar).unwrap();
        serde_json::to_string(&stages.into_iter().find(|found| found.name == stage).unwrap().graph).unwrap()
    };
    let own = pillar(&[Role::Master]);
    let mut changed = own.clone();
    given.change_pillar(&mut changed);
    for (stage, was, is) in [
        ("kubelet", "10.200.1.2:6443\\n", "10.200.1.9:6443\\n"),
        ("control-plane", "10.96.0.0/12", "10.97.0.0/16"),
        ("system", "10.233.0.0/16", "10.234.0.0/16"),
    ] {
        assert!(text(&own, stage).contains(was) && !text(&own, stage).contains(is), "{stage}: {was}");
        assert!(text(&changed, stage).contains(is), "{stage}: {is}");
    }
    assert!(!text(&changed, "control-plane").contains("10.96.0.0/12"));
}

#[test]
fn no_authority_has_its_key_on_a_node_that_joins() {
    for state in states(&[Role::Etcd, Role::Master]) {
        match &state {
            State::Authority(_) | State::IssuingAuthority(_) | State::KeyPair(_) => panic!("{state:?}"),
            State::RandomKey(key) => assert_eq!(key.path, Path::new(paths::PLAN_KEY)),
            _ => {}
        }
        if let State::Certificate(certificate) = &state {
            assert!(matches!(certificate.signer, Signer::Api(_)), "{certificate:?}");
        }
        let text = serde_json::to_string(&state).unwrap();
        assert!(!text.contains("pki/ca.key") && !text.contains("issuing-ca"), "{text}");
    }
}

#[test]
fn only_a_master_may_ask_for_the_name_of_the_administrator() {
    let names = |roles: &[Role]| -> BTreeSet<String> {
        certificates("node-1", &pillar(roles)).into_iter().map(|wanted| wanted.subject.common_name).collect()
    };
    let worker = ["metalk8s:agent:node-1", "node-1", "system:node:node-1"].map(str::to_owned);
    assert_eq!(names(&[Role::Node]), worker.into());
    assert!(!names(&[Role::Etcd, Role::Infra]).contains("kubernetes-admin"));
    assert!(names(&[Role::Master]).contains("kubernetes-admin"));
}

#[test]
fn a_member_that_joins_etcd_names_those_that_are_there() {
    let pods = states(&[Role::Etcd]);
    let etcd = pods.iter().find_map(|state| match state {
        State::StaticPod(pod) if pod.path.ends_with("etcd.yaml") => Some(pod.manifest.to_string()),
        _ => None,
    });
    let etcd = etcd.unwrap();
    assert!(etcd.contains("--initial-cluster-state=existing"), "{etcd}");
    assert!(etcd.contains("--initial-cluster=bootstrap=https://10.200.1.2:2380,node-1="), "{etcd}");
}

#[test]
fn etcd_and_the_kubelet_are_open_to_those_alone_who_call_them() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let masters = addresses(&["10.200.1.4", "10.200.1.2"]);
    let etcd = addresses(&["10.200.1.3", "10.200.1.2", "10.200.1.2"]);
    let pillar = Pillar { masters, etcd, ..pillar(&[Role::Etcd]) };
    let from = |pillar: &Pillar, port: u16| -> Option<Vec<String>> {
        let all = as_one(node(&grains(), pillar).unwrap());
        let mut openings = all.steps().iter().filter_map(|step| match &step.state {
            State::Opening(opening) if opening.port == port => Some(opening),
            _ => None,
        });
        Some(openings.next()?.sources.iter().map(ToString::to_string).collect())
    };
    assert_eq!(from(&pillar, 2380).unwrap(), ["10.200.1.2/32", "10.200.1.3/32"]);
    assert_eq!(from(&pillar, 2379).unwrap(), ["10.200.1.2/32", "10.200.1.3/32", "10.200.1.4/32"]);
    assert_eq!(from(&pillar, 10250).unwrap(), ["10.200.1.2/32", "10.200.1.4/32"]);
    // An opening without sources would be for everybody.
    let pillar = Pillar { masters: Vec::new(), ..pillar };
    assert_eq!(from(&pillar, 10250), None);
}

#[test]
fn a_reset_undoes_all_that_a_node_is_made_of() {
    let states = states(&[Role::Etcd, Role::Infra, Role::Master, Role::Node]);
    assert_eq!(machine::left_by_reset(&states), [""; 0]);
}
