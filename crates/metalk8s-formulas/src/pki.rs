//! Authorities, certificates and kubeconfigs of a control-plane node, in kubeadm's layout (area PKI).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{
        Authority, Certificate, Command, Directory, KeyPair, Kubeconfig, RandomKey, Readers, Subject, Usage,
    },
};
use metalk8s_types::{Grains, Pillar, paths};

use crate::{
    accounts::{APISERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, SERVER},
    hostname::node_name,
    layout::{APISERVER_PROXY, AUTHORITY_DAYS, CLUSTER_DOMAIN, LEAF_DAYS, endpoint, kubernetes_service},
};

/// The key that encrypts Secrets at rest (NFR-09).
pub(crate) const ENCRYPTION_KEY: &str = "/etc/metalk8s/crypt/apiserver.key";

/// Where kubectl looks first when root calls it.
const ROOT_KUBECONFIG: &str = "/root/.kube/config";

/// Keys of the repositories' server and of the authority that signs it.
pub(crate) const REPOSITORIES_PKI: &str = "/etc/metalk8s/pki/repositories";

/// One authority per realm (PKI-03).
#[derive(Clone, Copy)]
enum Realm {
    Kubernetes,
    Etcd,
    FrontProxy,
    Repositories,
}

impl Realm {
    fn certificate(self) -> PathBuf {
        self.stem().with_extension("crt")
    }

    fn key(self) -> PathBuf {
        self.stem().with_extension("key")
    }

    fn stem(self) -> PathBuf {
        match self {
            Self::Kubernetes => Path::new(paths::KUBERNETES_PKI).join("ca"),
            Self::Etcd => Path::new(paths::ETCD_PKI).join("ca"),
            Self::FrontProxy => Path::new(paths::KUBERNETES_PKI).join("front-proxy-ca"),
            Self::Repositories => Path::new(REPOSITORIES_PKI).join("ca"),
        }
    }

    /// Who signs with the key; root signs with all of them.
    fn signers(self) -> Readers {
        match self {
            Self::Kubernetes => CONTROLLER_MANAGER.alone(),
            Self::Etcd | Self::FrontProxy | Self::Repositories => Readers::root(),
        }
    }

    /// Where the realm's certificates lie.
    fn directory(self) -> &'static Path {
        match self {
            Self::Kubernetes | Self::Etcd | Self::FrontProxy => Path::new(paths::KUBERNETES_PKI),
            Self::Repositories => Path::new(REPOSITORIES_PKI),
        }
    }

    fn common_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd-ca",
            Self::FrontProxy => "front-proxy-ca",
            Self::Repositories => "metalk8s-repositories-ca",
        }
    }
}

/// A certificate of this node, before it has paths.
struct Leaf<'a> {
    /// Path below the realm's directory, without ending.
    name: &'a str,
    realm: Realm,
    common_name: &'a str,
    usages: &'a [Usage],
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    readers: Readers,
}

/// All keys of a node that holds the authorities and runs etcd and the control plane.
pub(crate) fn bootstrap(grains: &Grains, pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let authorities: Vec<_> = [Realm::Kubernetes, Realm::Etcd, Realm::FrontProxy, Realm::Repositories]
        .into_iter()
        .map(|realm| (realm.common_name(), add_authority(&mut graph, realm)))
        .collect();
    let of = |realm: Realm| -> &StateId {
        authorities
            .iter()
            .find_map(|(name, id)| (*name == realm.common_name()).then_some(id))
            .expect("all realms were added above")
    };
    for leaf in leaves(grains, pillar) {
        let id = add_leaf(&mut graph, &leaf);
        graph.require(&id, of(leaf.realm));
    }
    for kubeconfig in kubeconfigs(grains, pillar) {
        let is_admin = kubeconfig.path == Path::new(paths::ADMIN_KUBECONFIG);
        let id =
            graph.add(format!("kubeconfig {}", kubeconfig.path.display()), State::Kubeconfig(kubeconfig));
        graph.require(&id, of(Realm::Kubernetes));
        if is_admin {
            add_link_for_root(&mut graph, &id);
        }
    }
    graph.add(
        "key pair of service accounts",
        State::KeyPair(KeyPair {
            private: Path::new(paths::KUBERNETES_PKI).join("sa.key"),
            public: Path::new(paths::KUBERNETES_PKI).join("sa.pub"),
            readers: APISERVER.together_with(CONTROLLER_MANAGER),
        }),
    );
    graph.add(
        "key of encryption at rest",
        State::RandomKey(RandomKey { path: PathBuf::from(ENCRYPTION_KEY), bytes: 32 }),
    );
    graph
}

fn leaves<'a>(grains: &'a Grains, pillar: &Pillar) -> Vec<Leaf<'a>> {
    let node = node_name(grains);
    let own = pillar.node.control_plane;
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let local_names = || vec![node.to_owned(), "localhost".to_owned()];
    let local_addresses = || vec![own, localhost];
    let client = |name, realm, common_name, readers| Leaf {
        name,
        realm,
        common_name,
        usages: &[Usage::Client],
        dns_names: Vec::new(),
        addresses: Vec::new(),
        readers,
    };
    let server = |name, realm, common_name, readers| Leaf {
        usages: &[Usage::Server],
        dns_names: local_names(),
        addresses: local_addresses(),
        ..client(name, realm, common_name, readers)
    };
    let mut api_names = local_names();
    api_names.extend(["", ".default", ".default.svc"].map(|suffix| format!("kubernetes{suffix}")));
    api_names.push(format!("kubernetes.default.svc.{CLUSTER_DOMAIN}"));
    let both: &[Usage] = &[Usage::Server, Usage::Client];
    vec![
        Leaf {
            dns_names: api_names,
            addresses: vec![own, localhost, kubernetes_service(pillar)],
            ..server("apiserver", Realm::Kubernetes, "kube-apiserver", APISERVER.alone())
        },
        server(
            "controller-manager",
            Realm::Kubernetes,
            "kube-controller-manager",
            CONTROLLER_MANAGER.alone(),
        ),
        server("scheduler", Realm::Kubernetes, "kube-scheduler", SCHEDULER.alone()),
        server("kubelet", Realm::Kubernetes, node, Readers::root()),
        server("server", Realm::Repositories, "repositories", SERVER.alone()),
        client(
            "apiserver-kubelet-client",
            Realm::Kubernetes,
            "kube-apiserver-kubelet-client",
            APISERVER.alone(),
        ),
        client("apiserver-etcd-client", Realm::Etcd, "kube-apiserver-etcd-client", APISERVER.alone()),
        client("front-proxy-client", Realm::FrontProxy, "front-proxy-client", APISERVER.alone()),
        // etcd uses its server certificate as a client too, when its gateway calls itself.
        Leaf { usages: both, ..server("etcd/server", Realm::Etcd, node, ETCD.alone()) },
        Leaf { usages: both, ..server("etcd/peer", Realm::Etcd, node, ETCD.alone()) },
        client("etcd/healthcheck-client", Realm::Etcd, "kube-etcd-healthcheck-client", ETCD.alone()),
    ]
}

/// `kubectl` works for root without an option; a configuration of root's own is left alone.
fn add_link_for_root(graph: &mut Graph, admin: &StateId) {
    let folder =
        graph.add("kubectl's folder of root", State::Directory(Directory::new("/root/.kube", 0o750)));
    let link = graph.add(
        "kubectl's configuration of root",
        State::Command(Command {
            argv: ["ln", "--symbolic", paths::ADMIN_KUBECONFIG, ROOT_KUBECONFIG].map(str::to_owned).into(),
            creates: Some(ROOT_KUBECONFIG.into()),
            unless: None,
            only_if: None,
            only_on_change: false,
            environment: BTreeMap::new(),
            directory: None,
            timeout_seconds: 10,
        }),
    );
    graph.require(&link, &folder);
    graph.require(&link, admin);
}

fn kubeconfigs(grains: &Grains, pillar: &Pillar) -> Vec<Kubeconfig> {
    let kubeconfig = |path: &str, name: &str, groups: &[&str], readers| Kubeconfig {
        path: path.into(),
        server: format!("https://{APISERVER_PROXY}"),
        cluster: "kubernetes".to_owned(),
        ca_certificate: Realm::Kubernetes.certificate(),
        ca_key: Realm::Kubernetes.key(),
        subject: Subject {
            common_name: name.to_owned(),
            organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
        },
        days: LEAF_DAYS,
        readers,
    };
    let node = format!("system:node:{}", node_name(grains));
    vec![
        Kubeconfig {
            server: format!("https://{}", endpoint(pillar.node.control_plane, 6443)),
            ..kubeconfig(paths::ADMIN_KUBECONFIG, "kubernetes-admin", &["system:masters"], Readers::root())
        },
        kubeconfig("/etc/kubernetes/kubelet.conf", &node, &["system:nodes"], Readers::root()),
        kubeconfig(
            "/etc/kubernetes/controller-manager.conf",
            "system:kube-controller-manager",
            &[],
            CONTROLLER_MANAGER.alone(),
        ),
        kubeconfig("/etc/kubernetes/scheduler.conf", "system:kube-scheduler", &[], SCHEDULER.alone()),
    ]
}

fn add_authority(graph: &mut Graph, realm: Realm) -> StateId {
    graph.add(
        format!("authority {}", realm.common_name()),
        State::Authority(Authority {
            certificate: realm.certificate(),
            key: realm.key(),
            readers: realm.signers(),
            common_name: realm.common_name().to_owned(),
            days: AUTHORITY_DAYS,
        }),
    )
}

fn add_leaf(graph: &mut Graph, leaf: &Leaf<'_>) -> StateId {
    let stem = leaf.realm.directory().join(leaf.name);
    graph.add(
        format!("certificate {}", leaf.name),
        State::Certificate(Certificate {
            certificate: stem.with_extension("crt"),
            key: stem.with_extension("key"),
            readers: leaf.readers.clone(),
            ca_certificate: leaf.realm.certificate(),
            ca_key: leaf.realm.key(),
            subject: Subject { common_name: leaf.common_name.to_owned(), organizations: Vec::new() },
            usages: leaf.usages.to_vec(),
            dns_names: leaf.dns_names.clone(),
            addresses: leaf.addresses.clone(),
            days: LEAF_DAYS,
        }),
    )
}
