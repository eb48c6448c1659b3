//! The stages of a Bootstrap node, kept beside as golden files.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod machine;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    State,
    state::{Readers, StaticPod},
};
use metalk8s_formulas::{
    CERTIFICATE_FILES, CONTROL_PLANE, FormulaError, Taken, UpstreamManifests, as_one, bootstrap, of_role,
    renewed,
};
use metalk8s_types::{
    Grains, Leftovers, Pillar, Role, fake,
    grains::{Cgroup, OsFamily},
    pillar::{
        Addons, ArchiveFacts, ArchiveMount, ArchiveSource, Authorities, Certificates, ImageFacts, Networks,
        NodeAddresses, Proxies,
    },
};
use serde_json::{Value, json};

fn grains() -> Grains {
    fake::grains("bootstrap", &["10.200.1.2/28"])
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
        "salt-master",
        "coredns",
        "calico-node",
        "calico-kube-controllers",
    ];
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
    Pillar {
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
            source: ArchiveSource::Mounted,
        },
        archives: vec![ArchiveMount {
            archive: "/archives/metalk8s.iso".into(),
            mountpoint: "/srv/scality/metalk8s-9.8.7".into(),
            is_image: true,
            signature: "c2lnbmF0dXJl\n".into(),
        }],
        masters: vec!["10.200.1.2".parse().unwrap()],
        etcd: vec!["10.200.1.2".parse().unwrap()],
        repositories: vec!["10.200.1.2".parse().unwrap()],
        roles: [Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master].into(),
        authorities: Authorities::Here,
        initial_cluster: None,
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

/// With MetalLB, which the archive has.
fn with_load_balancer() -> (Pillar, UpstreamManifests) {
    let mut pillar = pillar();
    pillar.addons.metallb = true;
    let facts = pillar.archive.images["coredns"].clone();
    for name in ["metallb-controller", "metallb-speaker"] {
        pillar.archive.images.insert(name.to_owned(), facts.clone());
    }
    let mut upstream = upstream();
    let pools =
        json!({"kind": "CustomResourceDefinition", "metadata": {"name": "ipaddresspools.metallb.io"}});
    upstream.insert("metallb".to_owned(), vec![pools]);
    (pillar, upstream)
}

#[test]
fn a_load_balancer_comes_where_it_is_asked_for() {
    let members = |pillar: &Pillar, upstream: &UpstreamManifests| {
        let stages = bootstrap(&grains(), pillar, upstream).unwrap();
        let openings =
            stages.iter().flat_map(|stage| stage.graph.steps()).filter_map(|step| match &step.state {
                State::Opening(opening) if opening.port == 7946 => Some(opening.sources.clone()),
                _ => None,
            });
        let openings: Vec<_> = openings.collect();
        let stage = stages.into_iter().find(|stage| stage.name == "load-balancer");
        (stage.map(|stage| stage.graph), openings)
    };
    assert_eq!(members(&pillar(), &upstream()), (None, Vec::new()));
    let (pillar, upstream) = with_load_balancer();
    let (graph, openings) = members(&pillar, &upstream);
    insta::assert_yaml_snapshot!("physical-load-balancer", graph.unwrap());
    let control_plane = pillar.networks.control_plane;
    assert_eq!(openings, [control_plane.clone(), control_plane]);
}

#[test]
fn routes_to_pods_take_the_place_of_the_overlay_where_bgp_is_asked_for() {
    let routed = |pillar: &Pillar| {
        let stages = bootstrap(&grains(), pillar, &upstream()).unwrap();
        let steps = stages.into_iter().flat_map(|stage| stage.graph.steps().to_vec());
        let of_it = steps.filter(|step| match &step.state {
            State::Opening(opening) => opening.port == 179,
            State::Command(command) => command.argv.concat().contains("vxlanMode"),
            _ => step.id.as_str().contains("calico-bird"),
        });
        of_it.collect::<Vec<_>>()
    };
    assert!(routed(&pillar()).is_empty());
    let mut pillar = pillar();
    pillar.addons.calico_bgp = true;
    let facts = pillar.archive.images["calico-node"].clone();
    pillar.archive.images.insert("calico-bird".to_owned(), facts);
    insta::assert_yaml_snapshot!("physical-bgp", routed(&pillar));
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
    let (pillar, upstream) = with_load_balancer();
    for stage in bootstrap(&grains(), &pillar, &upstream).unwrap() {
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

fn states() -> Vec<State> {
    let stages = bootstrap(&grains(), &pillar(), &upstream()).unwrap();
    stages.iter().flat_map(|stage| stage.graph.steps()).map(|step| step.state.clone()).collect()
}

/// The user that a static pod runs as, of those that the host is given; root is none of them.
fn user_of(pod: &StaticPod, states: &[State]) -> Option<String> {
    user_in(&pod.manifest["spec"]["securityContext"], states)
}

fn user_in(security: &Value, states: &[State]) -> Option<String> {
    let own_group = security["runAsGroup"] == security["runAsUser"];
    states.iter().find_map(|state| match state {
        State::User(user) if user.uid.is_some_and(|uid| uid != 0 && security["runAsUser"] == uid) => {
            own_group.then(|| user.name.clone())
        }
        _ => None,
    })
}

fn static_pods(states: &[State]) -> Vec<&StaticPod> {
    states
        .iter()
        .filter_map(|state| match state {
            State::StaticPod(pod) => Some(pod),
            _ => None,
        })
        .collect()
}

/// The states of a role by name, and whether each is as the highstate has it.
fn of_one_role(role: Role) -> BTreeSet<String> {
    let highstate = bootstrap(&grains(), &pillar(), &upstream()).unwrap();
    let all = as_one(highstate.clone());
    let chosen = as_one(of_role(role, highstate, &grains(), &pillar()).unwrap());
    chosen.validate().unwrap();
    for step in chosen.steps() {
        assert_eq!(step.state, all.get(step.id.as_str()).unwrap().state, "{role}: {}", step.id);
    }
    chosen.steps().iter().map(|step| step.id.to_string()).collect()
}

#[test]
fn the_states_of_all_roles_together_are_the_highstate_and_each_brings_its_own() {
    let roles = [Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master];
    let together: BTreeSet<String> = roles.into_iter().flat_map(of_one_role).collect();
    let highstate = as_one(bootstrap(&grains(), &pillar(), &upstream()).unwrap());
    let all: BTreeSet<String> = highstate.steps().iter().map(|step| step.id.to_string()).collect();
    assert_eq!(together, all);
    for (role, own) in [
        (Role::Bootstrap, "static pod salt-master"),
        (Role::Etcd, "static pod etcd"),
        (Role::Master, "static pod kube-apiserver"),
    ] {
        for other in roles {
            assert_eq!(of_one_role(other).contains(own), other == role, "{other}: {own}");
        }
    }
}

#[test]
fn no_static_pod_but_the_salt_master_runs_as_root() {
    let states = states();
    let found: BTreeMap<_, _> = static_pods(&states)
        .into_iter()
        .filter(|pod| pod.manifest["metadata"]["name"] != "salt-master")
        .map(|pod| {
            let name = pod.manifest["metadata"]["name"].as_str().unwrap();
            assert_eq!(pod.manifest["spec"]["securityContext"]["runAsNonRoot"], true, "{name}");
            for container in pod.manifest["spec"]["containers"].as_array().unwrap() {
                assert!(container["securityContext"].get("runAsUser").is_none(), "{name}");
            }
            (name, user_of(pod, &states).unwrap_or_else(|| panic!("{name} runs as nobody's user")))
        })
        .collect();
    let expected = [
        ("apiserver-proxy", "metalk8s"),
        ("etcd", "etcd"),
        ("kube-apiserver", "kube-apiserver"),
        ("kube-controller-manager", "kube-controller-manager"),
        ("kube-scheduler", "kube-scheduler"),
        ("repositories", "metalk8s"),
    ];
    assert_eq!(found, expected.map(|(pod, user)| (pod, user.to_owned())).into());
}

#[test]
fn root_in_the_salt_master_can_read_and_nothing_else() {
    let states = states();
    let pods = static_pods(&states);
    let pod = pods.iter().find(|pod| pod.manifest["metadata"]["name"] == "salt-master").unwrap();
    let spec = &pod.manifest["spec"];
    for container in spec["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        if container["name"] == "salt-api" {
            assert_eq!(user_in(security, &states).as_deref(), Some("metalk8s"));
            assert_eq!(security["runAsNonRoot"], true);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
        } else {
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}));
        }
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    }
}

#[test]
fn a_private_file_is_for_the_pods_that_name_it_and_for_nobody_else() {
    let states = states();
    let private: BTreeMap<_, _> = states
        .iter()
        .filter_map(|state| match state {
            State::Authority(wish) => Some((wish.key.clone(), wish.readers.clone())),
            State::IssuingAuthority(wish) => Some((wish.key.clone(), wish.readers.clone())),
            State::Certificate(wish) => Some((wish.key.clone(), wish.readers.clone())),
            State::KeyPair(wish) => Some((wish.private.clone(), wish.readers.clone())),
            State::Kubeconfig(wish) => Some((wish.path.clone(), wish.readers.clone())),
            State::RandomKey(wish) => Some((wish.path.clone(), Readers::root())),
            State::File(wish) if wish.mode.is_some_and(|mode| mode & 0o007 == 0) => {
                let readers = Readers::user(wish.user.as_deref().unwrap_or("root"));
                assert_eq!(wish.mode, Some(readers.mode()), "{}", wish.path.display());
                Some((wish.path.clone(), readers))
            }
            _ => None,
        })
        .collect();
    let mut named: BTreeMap<_, BTreeSet<String>> =
        private.keys().map(|path| (path.clone(), BTreeSet::new())).collect();
    for pod in static_pods(&states) {
        for container in pod.manifest["spec"]["containers"].as_array().unwrap() {
            let user = match container["securityContext"].get("runAsUser") {
                Some(_) => user_in(&container["securityContext"], &states),
                None => user_of(pod, &states),
            };
            for word in container["command"].as_array().unwrap() {
                let word = word.as_str().unwrap();
                let path = PathBuf::from(word.split_once('=').map_or(word, |(_, value)| value));
                named.entry(path).and_modify(|users| users.extend(user.clone()));
            }
        }
    }
    // PKI-09: etcdctl is run with it inside etcd's pod.
    let health = PathBuf::from("/etc/kubernetes/pki/etcd/healthcheck-client.key");
    named.entry(health).and_modify(|users| users.extend(["etcd".to_owned()]));
    let readers = |Readers { user, group }: Readers| {
        [Some(user), group].into_iter().flatten().filter(|name| name != "root").collect()
    };
    let private: BTreeMap<_, _> = private.into_iter().map(|(path, found)| (path, readers(found))).collect();
    assert_eq!(private, named);
    assert!(named.values().filter(|users| !users.is_empty()).count() > 12, "{named:?}");
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
fn further_names_of_api_servers_stand_in_their_certificate_and_none_twice() {
    let mut called = pillar();
    called.api_server_names =
        ["api.example.org", "10.1.0.100", "localhost", "127.0.0.1"].map(str::to_owned).into();
    let certificate = |pillar: &Pillar| {
        let graph = renewed(&grains(), pillar).unwrap();
        let found = graph.steps().iter().find_map(|step| match &step.state {
            State::Certificate(wish) if wish.subject.common_name == "kube-apiserver" => {
                Some((wish.dns_names.clone(), wish.addresses.clone()))
            }
            _ => None,
        });
        found.unwrap()
    };
    let (mut names, mut addresses) = certificate(&pillar());
    names.push("api.example.org".to_owned());
    addresses.push("10.1.0.100".parse().unwrap());
    assert_eq!(certificate(&called), (names, addresses));
}

#[test]
fn others_are_told_where_this_node_is_before_its_api_server_needs_them() {
    let names = |pillar: &Pillar| {
        let stages = bootstrap(&grains(), pillar, &upstream()).unwrap();
        stages.iter().map(|stage| stage.name).collect::<Vec<_>>()
    };
    let lone = names(&pillar());
    let mut among_others = pillar();
    among_others.masters.push("10.1.0.2".parse().unwrap());
    let mut expected = lone.clone();
    let place = lone.iter().position(|name| *name == CONTROL_PLANE).unwrap();
    expected.insert(place, "announcement");
    assert_eq!(names(&among_others), expected);
}

#[test]
fn an_archive_without_an_image_is_named() {
    let mut pillar = pillar();
    pillar.archive.images.remove("etcd");
    let error = bootstrap(&grains(), &pillar, &upstream()).unwrap_err();
    assert!(matches!(&error, FormulaError::Missing { what: "image", name, .. } if name == "etcd"), "{error}");
}

/// Where a state keeps a certificate.
fn certificate_of(state: &State) -> Option<String> {
    let path = match state {
        State::Certificate(wish) => &wish.certificate,
        State::Authority(wish) => &wish.certificate,
        State::IssuingAuthority(wish) => &wish.certificate,
        State::Kubeconfig(wish) => &wish.path,
        _ => return None,
    };
    Some(path.display().to_string())
}

#[test]
fn every_certificate_of_a_bootstrap_node_is_known_with_the_program_that_uses_it() {
    let graph = renewed(&grains(), &pillar()).unwrap();
    let made: BTreeSet<String> =
        graph.steps().iter().filter_map(|step| certificate_of(&step.state)).collect();
    let known: BTreeSet<String> = CERTIFICATE_FILES.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(made, known);
}

#[test]
fn a_renewal_restarts_neither_the_api_server_nor_etcd() {
    let graph = renewed(&grains(), &pillar()).unwrap();
    graph.validate().unwrap();
    let restarted: Vec<String> = graph
        .steps()
        .iter()
        .filter_map(|step| match &step.state {
            State::StaticPod(pod) => Some(pod.path.file_stem()?.to_str()?.to_owned()),
            State::Service(service) => Some(service.name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(restarted, ["kubelet.service", "kube-controller-manager", "kube-scheduler"]);
    for pod in static_pods(&states()) {
        for file in &pod.files {
            let renews = CERTIFICATE_FILES.iter().find(|known| file.as_path() == Path::new(known.path));
            assert!(
                renews.is_none_or(|known| known.taken != Taken::ByItself),
                "{file:?} restarts {:?}",
                pod.path
            );
        }
    }
}

#[test]
fn enterprise_linux_takes_what_our_packages_need_from_its_own_repositories() {
    let only_from = |grains: &Grains| -> Vec<String> {
        let stages = bootstrap(grains, &pillar(), &upstream()).unwrap();
        let mut states = stages.iter().flat_map(|stage| stage.graph.steps()).map(|step| &step.state);
        states
            .find_map(|state| match state {
                State::Packages(packages) if packages.packages.contains_key("kubelet") => {
                    Some(packages.only_from.clone())
                }
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(only_from(&grains()).len(), 1);
    let mut other = grains();
    other.os.family = OsFamily::RedHat;
    assert_eq!(only_from(&other), [""; 0]);
}

#[test]
fn a_reset_undoes_all_that_a_bootstrap_node_is_made_of() {
    assert_eq!(machine::left_by_reset(&states()), [""; 0]);
}

#[test]
fn a_reset_leaves_the_configuration_that_a_person_wrote() {
    let absent = |has_configuration: bool| -> Vec<PathBuf> {
        let found = Leftovers { has_configuration, ..Leftovers::default() };
        let stages = metalk8s_formulas::reset(&found, false);
        let steps = stages.iter().flat_map(|stage| stage.graph.steps());
        steps
            .filter_map(|step| match &step.state {
                State::Absent(absent) => Some(absent.path.clone()),
                _ => None,
            })
            .collect()
    };
    let configuration = Path::new(metalk8s_types::paths::BOOTSTRAP_CONFIG);
    assert!(absent(false).iter().any(|path| configuration.starts_with(path)));
    assert!(!absent(true).iter().any(|path| configuration.starts_with(path)));
    assert!(absent(true).contains(&metalk8s_types::paths::AGENT_KUBECONFIG.into()));
}

#[test]
fn no_pod_begins_while_others_are_ended() {
    let stages = metalk8s_formulas::reset(&Leftovers::default(), false);
    let labels: Vec<String> = stages[0].graph.steps().iter().map(|step| step.state.label()).collect();
    assert!(labels[2].contains("containers"), "{labels:?}");
    for (before, after) in [(0, 1), (1, 2)] {
        let (before, after) = (&stages[0].graph.steps()[before], &stages[0].graph.steps()[after]);
        assert!(
            after.requisites.iter().any(|one| one.on == before.id),
            "{} does not wait for {}",
            after.id,
            before.id
        );
    }
}

#[test]
fn an_agent_that_is_kept_keeps_its_files() {
    let stages = metalk8s_formulas::reset(&Leftovers::default(), true);
    let text = serde_json::to_string(&stages.iter().map(|stage| &stage.graph).collect::<Vec<_>>()).unwrap();
    for kept in [metalk8s_types::paths::AGENT_KUBECONFIG, metalk8s_types::paths::STATE_DIR, "metalk8s-agent"]
    {
        assert!(!text.contains(kept), "{kept}");
    }
}
