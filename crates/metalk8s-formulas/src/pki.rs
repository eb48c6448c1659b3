//! Authorities, certificates and kubeconfigs of a node, in kubeadm's layout (area PKI).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{
        Authority, Certificate, Command, Condition, Contents, Directory, File, IssuingAuthority, KeyPair,
        Kubeconfig, RandomKey, Readers, Signer, Subject, Usage, Wait,
    },
};
use metalk8s_types::{Pillar, Role, fleet, paths, pillar::Authorities};

use crate::{
    accounts::{APISERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, SERVER},
    layout::{APISERVER_PROXY, AUTHORITY_LIFETIME, CLUSTER_DOMAIN, endpoint, kubernetes_service},
};

/// The key that encrypts Secrets at rest (NFR-09).
pub(crate) const ENCRYPTION_KEY: &str = "/etc/metalk8s/crypt/apiserver.key";

/// Where kubectl looks first when root calls it.
pub(crate) const ROOT_KUBECONFIG: &str = "/root/.kube/config";

/// Keys of the repositories' server and of the authority that signs it.
pub(crate) const REPOSITORIES_PKI: &str = "/etc/metalk8s/pki/repositories";

/// Certificate and key of the HTTP API of Salt's master, without ending.
pub(crate) const SALT_API: &str = "/etc/salt/pki/api/salt-api";

/// What our signers are called before the common name of their authority (KEP-1513).
const SIGNERS: &str = "metalk8s.scality.com/";

/// The common name of the repositories' authority.
pub(crate) const REPOSITORIES_CA: &str = "metalk8s-repositories-ca";

/// By what API servers know clients: the root, and the authorities that sign in its place. Those who let
/// kube-controller-manager sign for them show certificates without their chain.
pub(crate) const CLIENT_CA: &str = "/etc/kubernetes/pki/client-ca.crt";

/// What that file is called among the certificates of authorities that nodes are given.
const CLIENT_CA_NAME: &str = "client-ca";

/// How many times as long as the certificates that they sign issuing authorities live. They are renewed when a third
/// of their life is left, so no certificate ends before its time.
const ISSUING_LIVES: u64 = 3;

/// One root per realm, and one authority that signs in its place (PKI-03, PKI-05).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Realm {
    Kubernetes,
    Etcd,
    FrontProxy,
    Repositories,
}

impl Realm {
    const ALL: [Self; 4] = [Self::Kubernetes, Self::Etcd, Self::FrontProxy, Self::Repositories];

    /// Who signs with its key.
    fn signer(self, pillar: &Pillar) -> Signer {
        match pillar.authorities {
            Authorities::Here => {
                Signer::Here { certificate: self.issuing_certificate(), key: self.issuing_key() }
            }
            Authorities::Elsewhere(_) => Signer::Api(format!("{SIGNERS}{}", self.common_name())),
        }
    }

    /// Whether a node with these roles checks anybody by it.
    fn is_needed(self, pillar: &Pillar) -> bool {
        let has = |role| pillar.roles.contains(&role);
        match self {
            Self::Kubernetes | Self::Repositories => true,
            Self::Etcd => has(Role::Etcd) || has(Role::Master),
            Self::FrontProxy => has(Role::Master),
        }
    }

    fn certificate(self) -> PathBuf {
        self.stem().with_extension("crt")
    }

    fn key(self) -> PathBuf {
        self.stem().with_extension("key")
    }

    fn issuing_certificate(self) -> PathBuf {
        self.issuing_stem().with_extension("crt")
    }

    fn issuing_key(self) -> PathBuf {
        self.issuing_stem().with_extension("key")
    }

    fn issuing_name(self) -> String {
        format!("{}-issuing", self.common_name())
    }

    fn issuing_stem(self) -> PathBuf {
        match self {
            Self::Kubernetes => Path::new(paths::KUBERNETES_PKI).join("issuing-ca"),
            Self::Etcd => Path::new(paths::ETCD_PKI).join("issuing-ca"),
            Self::FrontProxy => Path::new(paths::KUBERNETES_PKI).join("front-proxy-issuing-ca"),
            Self::Repositories => Path::new(REPOSITORIES_PKI).join("issuing-ca"),
        }
    }

    fn stem(self) -> PathBuf {
        match self {
            Self::Kubernetes => Path::new(paths::KUBERNETES_PKI).join("ca"),
            Self::Etcd => Path::new(paths::ETCD_PKI).join("ca"),
            Self::FrontProxy => Path::new(paths::KUBERNETES_PKI).join("front-proxy-ca"),
            Self::Repositories => Path::new(REPOSITORIES_PKI).join("ca"),
        }
    }

    /// Who signs with the issuing key; root signs with all of them.
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
            Self::Repositories => REPOSITORIES_CA,
        }
    }
}

/// The files of a realm's authorities on the node that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// The common name of the root.
    pub common_name: &'static str,
    /// The name by which CertificateSigningRequests are signed.
    pub signer: String,
    /// The root's certificate, PEM: what everybody trusts.
    pub certificate: PathBuf,
    /// The root's private key, PEM; it may be elsewhere.
    pub key: PathBuf,
    /// The certificate of the authority that signs in its place, PEM.
    pub issuing_certificate: PathBuf,
    /// Its private key, PEM.
    pub issuing_key: PathBuf,
}

/// All authorities of a cluster.
pub fn authorities() -> [AuthorityFiles; 4] {
    Realm::ALL.map(|realm| AuthorityFiles {
        common_name: realm.common_name(),
        signer: format!("{SIGNERS}{}", realm.common_name()),
        certificate: realm.certificate(),
        key: realm.key(),
        issuing_certificate: realm.issuing_certificate(),
        issuing_key: realm.issuing_key(),
    })
}

/// Certificates that nodes are given with the settings: where each is on the node that holds the authorities, by
/// its name.
pub fn public_authorities() -> BTreeMap<&'static str, PathBuf> {
    let roots = Realm::ALL.map(|realm| (realm.common_name(), realm.certificate()));
    roots.into_iter().chain([(CLIENT_CA_NAME, PathBuf::from(CLIENT_CA))]).collect()
}

/// The authorities that sign in the place of roots, on the node that holds them; one for each of [`authorities`], in
/// their order. They live by the life of the certificates that they sign, in seconds.
pub fn issuing(lifetime_seconds: u64) -> [IssuingAuthority; 4] {
    let of_realm = |realm: Realm| IssuingAuthority {
        certificate: realm.issuing_certificate(),
        key: realm.issuing_key(),
        readers: realm.signers(),
        common_name: realm.issuing_name(),
        lifetime_seconds: AUTHORITY_LIFETIME.min(ISSUING_LIVES.saturating_mul(lifetime_seconds)),
        root_certificate: realm.certificate(),
        root_key: realm.key(),
        known: (realm == Realm::Kubernetes).then(|| PathBuf::from(CLIENT_CA)),
    };
    Realm::ALL.map(of_realm)
}

/// A certificate of this node, before it has paths.
struct Leaf<'a> {
    /// Path without ending, below the realm's directory or from the root.
    name: &'a str,
    realm: Realm,
    common_name: &'a str,
    usages: &'a [Usage],
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    readers: Readers,
}

/// All keys of a node with these roles.
pub(crate) fn keys(node: &str, pillar: &Pillar) -> Graph {
    keys_with(node, pillar, kubeconfigs(node, pillar))
}

/// The same but for the kubeconfig of the agent, which leads to a balancer that does not run yet: an agent that
/// has it could not be told anything after a loss of power.
pub(crate) fn keys_of_newcomer(node: &str, pillar: &Pillar) -> Graph {
    let mut others = kubeconfigs(node, pillar);
    others.retain(|kubeconfig| kubeconfig.path != Path::new(paths::AGENT_KUBECONFIG));
    keys_with(node, pillar, others)
}

/// The agent of a newcomer goes by the balancer, which answers.
pub(crate) fn led_by_balancer(node: &str, pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let answers = graph.add(
        "balancer of API servers answers",
        State::Wait(Wait {
            until: Condition::Http {
                url: format!("https://{APISERVER_PROXY}/readyz"),
                ca: Some(Realm::Kubernetes.certificate()),
                client: None,
            },
            deadline_seconds: 300,
        }),
    );
    for kubeconfig in kubeconfigs(node, pillar) {
        if kubeconfig.path == Path::new(paths::AGENT_KUBECONFIG) {
            let id = graph.add("kubeconfig of the agent", State::Kubeconfig(kubeconfig));
            graph.require(&id, &answers);
        }
    }
    graph
}

fn keys_with(node: &str, pillar: &Pillar, kubeconfigs: Vec<Kubeconfig>) -> Graph {
    let mut graph = Graph::default();
    let authorities: Vec<_> = Realm::ALL
        .into_iter()
        .filter_map(|realm| Some((realm, add_authority(&mut graph, realm, pillar)?)))
        .collect();
    let of = |realm: Realm| -> &StateId {
        let found = authorities.iter().find(|(known, _)| *known == realm);
        &found.expect("whoever needs a certificate needs the authority").1
    };
    for leaf in leaves(node, pillar) {
        let id = add_leaf(&mut graph, &leaf, pillar);
        graph.require(&id, of(leaf.realm));
    }
    for kubeconfig in kubeconfigs {
        let is_admin = kubeconfig.path == Path::new(paths::ADMIN_KUBECONFIG);
        let id =
            graph.add(format!("kubeconfig {}", kubeconfig.path.display()), State::Kubeconfig(kubeconfig));
        graph.require(&id, of(Realm::Kubernetes));
        if is_admin {
            add_link_for_root(&mut graph, &id);
        }
    }
    if pillar.authorities == Authorities::Here {
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
    } else if pillar.roles.contains(&Role::Master) {
        add_shared(&mut graph);
    }
    graph
}

/// Copies that a master was given: what one has signed or encrypted, all must be able to read.
fn add_shared(graph: &mut Graph) {
    let pki = |name: &str| format!("{}/{name}", paths::KUBERNETES_PKI);
    let kept = |path: &str, mode| File { contents: Contents::Kept, ..File::text(path, "").mode(mode) };
    let key = File {
        user: Some(APISERVER.name.to_owned()),
        group: Some(CONTROLLER_MANAGER.name.to_owned()),
        ..kept(&pki("sa.key"), 0o640)
    };
    graph.add("key of service accounts", State::File(key));
    graph.add("public key of service accounts", State::File(kept(&pki("sa.pub"), 0o644)));
    graph.add("key of encryption at rest", State::File(kept(ENCRYPTION_KEY, 0o600)));
}

/// Certificates by role: of servers, and of clients that are no kubeconfigs.
fn leaves<'a>(node: &'a str, pillar: &Pillar) -> Vec<Leaf<'a>> {
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
    let has = |role| pillar.roles.contains(&role);
    let mut leaves = Vec::new();
    if has(Role::Master) {
        let mut api_names = local_names();
        api_names.extend(["", ".default", ".default.svc"].map(|suffix| format!("kubernetes{suffix}")));
        api_names.push(format!("kubernetes.default.svc.{CLUSTER_DOMAIN}"));
        let mut api_addresses = vec![own, localhost, kubernetes_service(pillar)];
        for name in &pillar.api_server_names {
            match name.parse() {
                Ok(address) if api_addresses.contains(&address) => {}
                Ok(address) => api_addresses.push(address),
                Err(_) if api_names.contains(name) => {}
                Err(_) => api_names.push(name.clone()),
            }
        }
        leaves.extend([
            Leaf {
                dns_names: api_names,
                addresses: api_addresses,
                ..server("apiserver", Realm::Kubernetes, "kube-apiserver", APISERVER.alone())
            },
            server(
                "controller-manager",
                Realm::Kubernetes,
                "kube-controller-manager",
                CONTROLLER_MANAGER.alone(),
            ),
            server("scheduler", Realm::Kubernetes, "kube-scheduler", SCHEDULER.alone()),
        ]);
    }
    leaves.push(server("kubelet", Realm::Kubernetes, node, Readers::root()));
    if has(Role::Bootstrap) {
        leaves.push(server("server", Realm::Repositories, "repositories", SERVER.alone()));
        let mut names = local_names();
        names.extend(["", ".kube-system", ".kube-system.svc"].map(|suffix| format!("salt-master{suffix}")));
        names.push(format!("salt-master.kube-system.svc.{CLUSTER_DOMAIN}"));
        leaves.push(Leaf {
            dns_names: names,
            ..server(SALT_API, Realm::Kubernetes, "salt-api", SERVER.alone())
        });
    }
    if has(Role::Master) {
        let kubelet_client = "kube-apiserver-kubelet-client";
        leaves.extend([
            client("apiserver-kubelet-client", Realm::Kubernetes, kubelet_client, APISERVER.alone()),
            client("apiserver-etcd-client", Realm::Etcd, "kube-apiserver-etcd-client", APISERVER.alone()),
            client("front-proxy-client", Realm::FrontProxy, "front-proxy-client", APISERVER.alone()),
        ]);
    }
    if has(Role::Etcd) {
        // etcd uses its server certificate as a client too, when its gateway calls itself.
        let both: &[Usage] = &[Usage::Server, Usage::Client];
        leaves.extend([
            Leaf { usages: both, ..server("etcd/server", Realm::Etcd, node, ETCD.alone()) },
            // A peer that comes from another address has its names asked for, by each that it calls (etcd, checkCertSAN).
            Leaf {
                usages: both,
                dns_names: Vec::new(),
                ..server("etcd/peer", Realm::Etcd, node, ETCD.alone())
            },
            client("etcd/healthcheck-client", Realm::Etcd, "kube-etcd-healthcheck-client", ETCD.alone()),
        ]);
    }
    leaves
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

fn kubeconfigs(node: &str, pillar: &Pillar) -> Vec<Kubeconfig> {
    let kubeconfig = |path: &str, name: &str, groups: &[&str], readers| Kubeconfig {
        path: path.into(),
        server: format!("https://{APISERVER_PROXY}"),
        cluster: "kubernetes".to_owned(),
        ca_certificate: Realm::Kubernetes.certificate(),
        signer: Realm::Kubernetes.signer(pillar),
        subject: Subject {
            common_name: name.to_owned(),
            organizations: groups.iter().map(|group| (*group).to_owned()).collect(),
        },
        lifetime_seconds: pillar.certificates.lifetime_seconds,
        readers,
    };
    let mut kubeconfigs = Vec::new();
    if pillar.roles.contains(&Role::Master) {
        kubeconfigs.push(Kubeconfig {
            server: format!("https://{}", endpoint(pillar.node.control_plane, 6443)),
            ..kubeconfig(paths::ADMIN_KUBECONFIG, "kubernetes-admin", &["system:masters"], Readers::root())
        });
    }
    let kubelet = format!("system:node:{node}");
    kubeconfigs.push(kubeconfig(paths::KUBELET_KUBECONFIG, &kubelet, &["system:nodes"], Readers::root()));
    if pillar.roles.contains(&Role::Master) {
        let manager = "system:kube-controller-manager";
        kubeconfigs.extend([
            kubeconfig("/etc/kubernetes/controller-manager.conf", manager, &[], CONTROLLER_MANAGER.alone()),
            kubeconfig("/etc/kubernetes/scheduler.conf", "system:kube-scheduler", &[], SCHEDULER.alone()),
        ]);
    }
    let agent = fleet::agent_user(node);
    kubeconfigs.push(kubeconfig(paths::AGENT_KUBECONFIG, &agent, &[fleet::AGENTS], Readers::root()));
    if pillar.roles.contains(&Role::Bootstrap) {
        kubeconfigs.push(kubeconfig(paths::CONDUCTOR_KUBECONFIG, fleet::CONDUCTOR, &[], Readers::root()));
        kubeconfigs.push(kubeconfig(paths::SALT_API_KUBECONFIG, fleet::SALT_API, &[], SERVER.alone()));
    }
    kubeconfigs
}

/// The authorities of a realm, or, where they are on another node, the root's certificate.
fn add_authority(graph: &mut Graph, realm: Realm, pillar: &Pillar) -> Option<StateId> {
    let name = realm.common_name();
    match &pillar.authorities {
        Authorities::Here => {
            let root = graph.add(
                format!("authority {name}"),
                State::Authority(Authority {
                    certificate: realm.certificate(),
                    key: realm.key(),
                    readers: Readers::root(),
                    common_name: name.to_owned(),
                    lifetime_seconds: AUTHORITY_LIFETIME,
                }),
            );
            let all = issuing(pillar.certificates.lifetime_seconds);
            let wish = all.into_iter().find(|wish| wish.key == realm.issuing_key());
            let wish = wish.expect("every realm has one");
            let issuing = graph.add(format!("authority {}", wish.common_name), State::IssuingAuthority(wish));
            graph.require(&issuing, &root);
            Some(issuing)
        }
        Authorities::Elsewhere(certificates) => realm.is_needed(pillar).then(|| {
            let of_name = |name: &str| certificates.get(name).cloned().unwrap_or_default();
            if realm == Realm::Kubernetes && pillar.roles.contains(&Role::Master) {
                graph.add(
                    "authorities of clients",
                    State::File(File::text(CLIENT_CA, of_name(CLIENT_CA_NAME))),
                );
            }
            graph.add(
                format!("certificate of the authority {name}"),
                State::File(File::text(realm.certificate(), of_name(name))),
            )
        }),
    }
}

fn add_leaf(graph: &mut Graph, leaf: &Leaf<'_>, pillar: &Pillar) -> StateId {
    let stem = leaf.realm.directory().join(leaf.name);
    graph.add(
        format!("certificate {}", leaf.name),
        State::Certificate(Certificate {
            certificate: stem.with_extension("crt"),
            key: stem.with_extension("key"),
            readers: leaf.readers.clone(),
            ca_certificate: leaf.realm.certificate(),
            signer: leaf.realm.signer(pillar),
            subject: Subject { common_name: leaf.common_name.to_owned(), organizations: Vec::new() },
            usages: leaf.usages.to_vec(),
            dns_names: leaf.dns_names.clone(),
            addresses: leaf.addresses.clone(),
            lifetime_seconds: pillar.certificates.lifetime_seconds,
        }),
    )
}
