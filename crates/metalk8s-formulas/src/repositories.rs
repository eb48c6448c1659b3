//! Archives, the package repositories inside them, and the server that hands both out (areas ISO, PKG).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{
        Condition, Contents, Directory, File, Image, ImageSource, Mount, Packages, Repository,
        RepositorySource, StaticPod, Wait,
    },
};
use metalk8s_types::{
    Grains, Pillar, environment,
    grains::OsFamily,
    header, paths,
    pillar::{ArchiveMount, ArchiveSource, Authorities},
};
use serde_json::json;

use crate::{
    accounts::SERVER,
    bootstrap::{FormulaError, image},
    layout::endpoint,
    pki::{REPOSITORIES_CA, REPOSITORIES_PKI},
    pod::{HostPath, Pod},
};

/// Port of the repositories (constants.md, section 1).
const PORT: u16 = 8080;

/// The authority of the repositories where apt reads it: its downloads run as a user that may not enter ours.
const APT_AUTHORITY: &str = "/etc/apt/metalk8s-repositories.crt";

/// What a node installs, in one transaction (BOOT-15, BOOT-16).
pub(crate) const PACKAGES: [&str; 8] = [
    "containerd",
    "runc",
    "cri-tools",
    "kubernetes-cni",
    "calico-cni-plugin",
    "kubelet",
    "kubectl",
    "metalk8s-agent",
];

/// The configuration names these archives. `text` is the whole file, and `mode` its permissions.
pub fn archives_declared(configuration: &Path, mode: u32, text: String, added: &[PathBuf]) -> Graph {
    let mut graph = Graph::default();
    let names = added.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    graph.add(
        format!("configuration names {names}"),
        State::File(File {
            // The address of a proxy in it may hold a password, which no plan must show.
            contents: Contents::WithSecrets { text, secrets: Vec::new() },
            ..File::text(configuration, "").mode(mode)
        }),
    );
    graph
}

/// All archives of the configuration are mounted, now and after a boot (BOOT-06).
pub fn archives_mounted(archives: &[ArchiveMount]) -> Graph {
    let mut graph = Graph::default();
    for archive in archives.iter().filter(|archive| archive.is_image) {
        let target = archive.mountpoint.display();
        graph.add(
            format!("archive mounted at {target}"),
            State::Mount(Mount {
                source: archive.archive.clone(),
                target: archive.mountpoint.clone(),
                fs_type: "iso9660".to_owned(),
                options: vec!["ro".to_owned(), "nofail".to_owned()],
                persistent: true,
                holds: Some((PathBuf::from("manifest.json.sig"), archive.signature.clone())),
            }),
        );
    }
    graph
}

/// The packages of this version, at their exact versions and held (PKG-12). On Debian they come from our repository
/// alone, which has all that they need; Enterprise Linux takes that from its own (PRE-09).
pub fn packages(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let (mut graph, repository) = add_repository(grains, pillar);
    let name = environment(&pillar.archive.version);
    let packages = PACKAGES
        .iter()
        .map(|package| match pillar.archive.packages.get(*package) {
            Some(version) => Ok(((*package).to_owned(), Some(version.clone()))),
            None => Err(FormulaError::Missing {
                version: pillar.archive.version.clone(),
                what: "package",
                name: (*package).to_owned(),
            }),
        })
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let only_from = if grains.os.family == OsFamily::RedHat { Vec::new() } else { vec![name] };
    let installed =
        graph.add("packages of a node", State::Packages(Packages { packages, hold: true, only_from }));
    graph.watch(&installed, &repository);
    Ok(graph)
}

/// The package repository of this version is known to the host.
pub fn repository(grains: &Grains, pillar: &Pillar) -> Graph {
    add_repository(grains, pillar).0
}

fn add_repository(grains: &Grains, pillar: &Pillar) -> (Graph, StateId) {
    let mut graph = Graph::default();
    let name = environment(&pillar.archive.version);
    let (key, base) = match &pillar.archive.source {
        ArchiveSource::Mounted => {
            let root = &pillar.archive.root;
            (root.join("keys/packages.asc"), format!("file://{}/packages", root.display()))
        }
        ArchiveSource::Served { packages_key: _ } => {
            let key = PathBuf::from(format!("{REPOSITORIES_PKI}/packages-{}.asc", pillar.archive.version));
            (key, format!("https://{}/{name}", server_address(pillar)))
        }
    };
    let served = add_served(&mut graph, pillar, &key);
    let source = source(grains, pillar, &base);
    let repository =
        graph.add("package repository", State::Repository(Repository { name: name.clone(), source, key }));
    graph.require_all(&repository, &served);
    (graph, repository)
}

/// What a host needs before it can fetch packages from the repositories: their key, the authority that it
/// knows their server by, and no proxy in between.
fn add_served(graph: &mut Graph, pillar: &Pillar, key: &Path) -> Vec<StateId> {
    let ArchiveSource::Served { packages_key } = &pillar.archive.source else { return Vec::new() };
    let Authorities::Elsewhere(authorities) = &pillar.authorities else { return Vec::new() };
    let certificate = authorities.get(REPOSITORIES_CA).cloned().unwrap_or_default();
    let hosts: String = pillar
        .repositories
        .iter()
        .map(|address| {
            format!(
                "Acquire::https::{address}::CaInfo \"{ca}\";\nAcquire::https::Proxy::{address} \"DIRECT\";\n",
                ca = APT_AUTHORITY
            )
        })
        .collect();
    let folder = graph.add(
        "directory of the repositories' keys",
        State::Directory(Directory::new(REPOSITORIES_PKI, 0o755)),
    );
    let files = [
        ("key of the packages", File::text(key, packages_key)),
        ("authority of the repositories", File::text(authority(), certificate.clone())),
        ("authority of the repositories for apt", File::text(APT_AUTHORITY, certificate)),
        (
            "apt knows the repositories",
            File::text("/etc/apt/apt.conf.d/90metalk8s", format!("{}{hosts}", header().replace('#', "//"))),
        ),
    ];
    let ids = files.map(|(id, file)| graph.add(id, State::File(file)));
    for id in &ids {
        graph.require(id, &folder);
    }
    ids.into()
}

/// Where the host's package manager finds our packages, below `base`.
fn source(grains: &Grains, pillar: &Pillar, base: &str) -> RepositorySource {
    let url = format!("{base}/{}", grains.package_repository());
    match grains.os.family {
        OsFamily::RedHat => {
            let ca = match pillar.archive.source {
                ArchiveSource::Mounted => None,
                ArchiveSource::Served { .. } => Some(authority()),
            };
            RepositorySource::Dnf { base_url: url, ca }
        }
        OsFamily::Debian | OsFamily::Other => RepositorySource::Apt {
            uri: url,
            suite: grains.os.codename.clone(),
            components: vec!["main".to_owned()],
        },
    }
}

/// Address and port of the repositories that are asked first.
fn server_address(pillar: &Pillar) -> String {
    server_endpoint(pillar.repositories.first().copied().unwrap_or(pillar.node.control_plane))
}

/// Where the repositories of the node with this control-plane address are, as in URLs.
pub fn server_endpoint(address: std::net::IpAddr) -> String {
    endpoint(address, PORT)
}

/// The repositories' server as a static pod. Its own image and that of the pause container come straight
/// from the archive: nobody could serve them yet.
pub fn server(pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let mut images = Vec::new();
    for name in ["pause", "metalk8s"] {
        let reference = image(pillar, name)?;
        let digest = pillar.archive.images[name].digest.clone();
        images.push(graph.add(
            format!("image {name} imported"),
            State::Image(Image {
                reference,
                digest,
                source: ImageSource::Layout(pillar.archive.root.join("images")),
                pinned: true,
            }),
        ));
    }
    let address = endpoint(pillar.node.control_plane, PORT);
    let pki = |name: &str| format!("{REPOSITORIES_PKI}/{name}");
    let pod = Pod::new("repositories", image(pillar, "metalk8s")?, SERVER)
        .command(["metalk8s", "repositories", "--root", paths::ARCHIVES, "--listen", &address])
        .command(["--tls-certificate", &pki("server.crt"), "--tls-key", &pki("server.key")])
        .host_path(HostPath::directory("pki", REPOSITORIES_PKI).read_only())
        .host_path(
            HostPath::directory("archives", paths::ARCHIVES).read_only().propagation("HostToContainer"),
        )
        .https_probes(pillar.node.control_plane, PORT, "/healthz", "/healthz")
        .requests("50m", "32Mi");
    let manifest = graph.add(
        "static pod repositories",
        State::StaticPod(StaticPod {
            path: Path::new(paths::MANIFESTS).join("repositories.yaml"),
            manifest: pod.manifest(),
            // The server reads a renewed certificate by itself.
            files: Vec::new(),
        }),
    );
    graph.require_all(&manifest, &images);
    Ok(graph)
}

/// The file with the authority of the repositories, on every node.
pub fn authority() -> PathBuf {
    Path::new(REPOSITORIES_PKI).join("ca.crt")
}

/// The repositories answer.
pub(crate) fn ready(pillar: &Pillar) -> State {
    State::Wait(Wait {
        until: Condition::Http {
            url: format!("https://{}/healthz", server_address(pillar)),
            ca: Some(authority()),
            client: None,
        },
        deadline_seconds: 120,
    })
}

/// How containerd reaches the registry: our logical name and, unless a proxy says that there is a world
/// outside, every other name too leads to our repositories and nowhere else.
pub(crate) fn registry_hosts(pillar: &Pillar) -> BTreeMap<String, serde_json::Value> {
    let hosts: serde_json::Map<_, _> = pillar
        .repositories
        .iter()
        .map(|address| {
            let host = json!({"capabilities": ["pull", "resolve"], "ca": [authority()]});
            (format!("https://{}", endpoint(*address, PORT)), host)
        })
        .collect();
    let server = hosts.keys().next().cloned().unwrap_or_default();
    let config = json!({"server": server, "host": hosts});
    let mut names = vec![metalk8s_types::REGISTRY];
    if pillar.proxies == metalk8s_types::pillar::Proxies::default() {
        names.push("_default");
    }
    names.into_iter().map(|name| (name.to_owned(), config.clone())).collect()
}
