//! What pods and archives have left on the host.

use std::path::{Path, PathBuf};

use metalk8s_engine::StateError;
use metalk8s_types::{Leftovers, environment, paths};

use crate::{Host, doing::Doing, interfaces::INTERFACES, mount, repository, swap};

/// Below these, everything that is mounted belongs to pods and containers.
const OF_PODS: [&str; 4] = ["/var/lib/kubelet", "/var/lib/containerd", "/run/containerd", "/run/calico"];
/// Where CNI plugins name network namespaces, and how (containerd, `netns.NewNetNS`).
const NAMESPACES: &str = "/run/netns";
const NAMESPACE_PREFIX: &str = "cni-";
/// By which BIRD is spoken to: gone after a boot, as its routes are.
const BIRD: &str = "/run/calico/bird.ctl";
/// Where kubectl looks first when root calls it.
const ROOT_KUBECONFIG: (&str, &str) = ("/root/.kube", "config");

impl Host {
    /// Looks for what formulas do not name because it depends on what ran here. Reads only.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn leftovers(&self) -> Result<Leftovers, StateError> {
        let mut mounted = mount::targets(self)?;
        // What was mounted last lies on top, and inside.
        mounted.reverse();
        let is_below = |path: &Path, folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
        let mut archives: Vec<PathBuf> = mounted.iter().chain(&mount::kept_targets(self)?).cloned().collect();
        archives.retain(|path| path.parent() == Some(Path::new(paths::ARCHIVES)));
        archives.sort();
        archives.dedup();
        let names = |folder: &str| self.names(Path::new(folder));
        let namespaces = names(NAMESPACES)?.into_iter().filter(|name| name.starts_with(NAMESPACE_PREFIX));
        let (folder, name) = ROOT_KUBECONFIG;
        let link = std::fs::read_link(self.real(Path::new(folder))?.join(name));
        Ok(Leftovers {
            mounts: mounted.into_iter().filter(|path| is_below(path, &OF_PODS)).collect(),
            namespaces: namespaces.map(|name| Path::new(NAMESPACES).join(name)).collect(),
            archives,
            interfaces: names(INTERFACES)?.into_iter().filter(|name| is_of_pods(name)).collect(),
            has_bgp_routes: self.exists(Path::new(BIRD)),
            repositories: repository::files(self, &environment(""))?,
            has_configuration: self.exists(Path::new(paths::BOOTSTRAP_CONFIG)),
            has_root_kubeconfig: link.is_ok_and(|target| target == Path::new(paths::ADMIN_KUBECONFIG)),
            has_swap_lines: swap::has_lines_turned_off(self)?,
        })
    }

    /// The names in a folder, sorted; a missing folder has none.
    pub(crate) fn names(&self, folder: &Path) -> Result<Vec<String>, StateError> {
        let entries = match std::fs::read_dir(self.real(folder)?) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(|| format!("could not list `{}`", folder.display()))?,
        };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }
}

/// Calico's name for the end of a pod's link outside of it, and of its tunnels (felix, `InterfacePrefix`).
fn is_of_pods(interface: &str) -> bool {
    let is_pods = |rest: &str| rest.len() == 11 && rest.chars().all(|letter| letter.is_ascii_hexdigit());
    matches!(interface, "vxlan.calico" | "vxlan-v6.calico")
        || interface.strip_prefix("cali").is_some_and(is_pods)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::Lab;

    #[test]
    fn what_pods_and_archives_left_is_found_and_nothing_else() {
        let lab = Lab::new();
        let line = |target: &str| format!("1 2 0:1 / {target} rw - tmpfs tmpfs rw\n");
        let mounted = [
            "/",
            "/run/containerd/a",
            "/run/containerd/a/inside",
            "/var/lib/kubeletx",
            "/srv/scality/metalk8s-1",
        ];
        lab.file("/proc/self/mountinfo", &mounted.map(line).concat());
        lab.file(
            "/etc/fstab",
            "/a.iso /srv/scality/metalk8s-2 iso9660 ro 0 0\n#metalk8s: /dev/b none swap sw 0 0\n",
        );
        for name in ["lo", "eth0", "cali0123456789a", "california", "vxlan.calico"] {
            lab.file(&format!("/sys/class/net/{name}/mtu"), "");
        }
        lab.file("/run/netns/cni-1", "");
        lab.file("/run/netns/mine", "");
        lab.file("/etc/apt/sources.list.d/metalk8s-0.1.0.sources", "");
        lab.file("/etc/apt/sources.list.d/debian.sources", "");
        lab.file("/root/.kube/x", "");
        lab.file("/run/calico/bird.ctl", "");
        symlink(paths::ADMIN_KUBECONFIG, lab.path("/root/.kube/config")).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let expected = Leftovers {
            mounts: paths(&["/run/containerd/a/inside", "/run/containerd/a"]),
            namespaces: paths(&["/run/netns/cni-1"]),
            archives: paths(&["/srv/scality/metalk8s-1", "/srv/scality/metalk8s-2"]),
            interfaces: vec!["cali0123456789a".into(), "vxlan.calico".into()],
            has_bgp_routes: true,
            repositories: paths(&["/etc/apt/sources.list.d/metalk8s-0.1.0.sources"]),
            has_configuration: false,
            has_root_kubeconfig: true,
            has_swap_lines: true,
        };
        assert_eq!(lab.host.leftovers().unwrap(), expected);
    }

    #[test]
    fn a_bare_machine_has_no_leftovers() {
        assert_eq!(Lab::new().host.leftovers().unwrap(), Leftovers::default());
    }
}
