//! From a bare machine to a cluster, by the commands that the manual prints.

use std::{fs, path::Path, time::Duration};

use ipnet::Ipv4Net;
use metalk8s_diagnostics::{Diagnose, Hint, Progress};
use metalk8s_types::paths;

use crate::{
    archive::{self, ArchiveError},
    lab::{BOOTSTRAP, Lab},
    machine::{Machine, MachineError, quoted},
    podman::Podman,
};

/// Written once `bootstrap.sh` has ended well, with the identity of the archive; it ends with the machine.
const MARK: &str = "/var/lib/metalk8s-lab/bootstrapped";
/// Identity of the archive that the lab's volume was filled with.
const OFFERED: &str = "/var/lib/metalk8s-lab/archive";
const LOCK: &str = "/run/lock/metalk8s-lab";
const BOOTSTRAP_DEADLINE: Duration = Duration::from_secs(1800);
/// Seconds that a bootstrap shall take at most.
const BOOTSTRAP_ESTIMATE: u32 = 120;

/// Why the product could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The archive cannot be given to the machine.
    #[error("could not give the archive to the machine")]
    Archive(#[source] metalk8s_diagnostics::Diagnosed),
    /// The machine did not do what it was asked.
    #[error("could not prepare the machine")]
    Machine(#[source] metalk8s_diagnostics::Diagnosed),
    /// The lab has no machine to bootstrap.
    #[error("the lab has no machine `{BOOTSTRAP}`")]
    NoMachine,
    /// The archive does not say which version it is.
    #[error("the archive has no `VERSION=` in its product.txt")]
    NoVersion,
    /// The former archive is still in use.
    #[error("the archive has changed, and the machine still uses the former one")]
    InUse,
    /// `bootstrap.sh` did not end well.
    #[error("`{command}` ended with {code} after {seconds} s")]
    Bootstrap {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
        /// How long it ran.
        seconds: u64,
    },
}

impl Diagnose for InstallError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::InUse => vec!["`./lab down`, then `./lab up`".into()],
            Self::Bootstrap { .. } => vec![
                format!("`./lab ssh {BOOTSTRAP} -- cat {}` shows its log", paths::DOCUMENTED_BOOTSTRAP_LOG)
                    .into(),
                "`./lab up` goes on where it stopped".into(),
            ],
            _ => Vec::new(),
        }
    }
}

impl From<MachineError> for InstallError {
    fn from(error: MachineError) -> Self {
        Self::Machine(metalk8s_diagnostics::Diagnosed::new(error))
    }
}

impl From<ArchiveError> for InstallError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(metalk8s_diagnostics::Diagnosed::new(error))
    }
}

/// Shows the machines the archive and changes nothing else on them.
///
/// A lab that is bootstrapped keeps the archive it was bootstrapped from.
pub fn prepare(lab: &Lab, podman: &Podman, path: &Path, progress: &Progress) -> Result<(), InstallError> {
    let machine = bootstrap_machine(lab)?;
    let identity = archive::identity(&archive::look_at(path)?);
    let former = mark(machine, MARK)?;
    if former.as_ref().is_some_and(|former| *former != identity) {
        progress.say(
            "warning: the archive was rebuilt since this lab was bootstrapped, which keeps the former one; \
             to install the new one: `./lab down`, then `./lab up`",
        );
    } else {
        if mark(machine, OFFERED)?.is_some_and(|offered| offered != identity) {
            unmount_former(machine)?;
        }
        let step = progress.step("Copying the archive to the machines (about 3 s)");
        archive::offer(podman, lab.name.as_str(), path, file_name(archive::PRODUCT))?;
        machine.write(OFFERED, identity.as_bytes(), 0o644)?;
        step.done();
    }
    Ok(())
}

/// Shares a key, mounts the archive, and writes the configuration; gives the folder of the archive.
pub fn configure(lab: &Lab) -> Result<String, InstallError> {
    configure_as(lab, &configuration(lab))
}

fn configure_as(lab: &Lab, configuration: &str) -> Result<String, InstallError> {
    let machine = bootstrap_machine(lab)?;
    share_key(lab, machine)?;
    let folder = mount(lab)?;
    machine.write(paths::BOOTSTRAP_CONFIG, configuration.as_bytes(), 0o644)?;
    Ok(folder)
}

/// Mounts the archive where the manual has it, unless it is, and gives the folder.
pub fn mount(lab: &Lab) -> Result<String, InstallError> {
    let machine = bootstrap_machine(lab)?;
    let version = version_of_archive(machine)?;
    let folder = format!("{}/metalk8s-{version}", paths::ARCHIVES);
    machine.run_checked(&format!(
        "mkdir -p {folder} && (mountpoint --quiet {folder} || mount {} {folder})",
        archive::PRODUCT
    ))?;
    Ok(folder)
}

/// Prepares the machine by [`configure`] and runs `bootstrap.sh`, unless that was done.
pub fn bootstrap(lab: &Lab, progress: &Progress) -> Result<(), InstallError> {
    bootstrap_as(lab, &configuration(lab), progress)
}

/// The same with another configuration than that of the manual.
pub fn bootstrap_as(lab: &Lab, configuration: &str, progress: &Progress) -> Result<(), InstallError> {
    let machine = bootstrap_machine(lab)?;
    if mark(machine, MARK)?.is_some() {
        // Machines that came later get the key, too.
        share_key(lab, machine)?;
        progress.say("The machine bootstrap is bootstrapped already; nothing to do");
        return Ok(());
    }
    let folder = configure_as(lab, configuration)?;
    let command = format!("{folder}/bootstrap.sh");
    let estimate = crate::lab::bootstrap_estimate(BOOTSTRAP_ESTIMATE);
    progress.say(&format!("Running {command} on the machine {BOOTSTRAP} (about {estimate} s)"));
    let started = std::time::Instant::now();
    // A run that this program left behind when it was killed is waited for. Its lock is not handed on to what
    // the script starts.
    let alone = format!("flock --close --timeout {} {LOCK} {command}", BOOTSTRAP_DEADLINE.as_secs());
    let output =
        machine.stream(&alone, BOOTSTRAP_DEADLINE, &mut |_, line| progress.say(&format!("  {line}")))?;
    if !output.success() {
        return Err(InstallError::Bootstrap {
            command,
            code: output.code,
            seconds: started.elapsed().as_secs(),
        });
    }
    let identity = mark(machine, OFFERED)?.unwrap_or_default();
    machine.write(MARK, identity.as_bytes(), 0o644)?;
    Ok(())
}

/// Whether `bootstrap.sh` has ended well on this lab.
pub fn is_bootstrapped(lab: &Lab) -> Result<bool, MachineError> {
    match bootstrap_machine(lab) {
        Ok(machine) => Ok(mark(machine, MARK)?.is_some()),
        Err(_) => Ok(false),
    }
}

/// The version in `product.txt` of the archive that the machine sees.
pub fn version_of_archive(machine: &Machine) -> Result<String, InstallError> {
    let look = format!(
        "set -e; folder=$(mktemp -d); mount {} \"$folder\"; \
         trap 'umount \"$folder\"; rmdir \"$folder\"' EXIT; cat \"$folder/product.txt\"",
        archive::PRODUCT
    );
    let text = machine.run_checked(&look)?;
    version(&text).map(str::to_owned).ok_or(InstallError::NoVersion)
}

/// The BootstrapConfiguration of the manual (constants.md 8.1), for this lab.
pub fn configuration(lab: &Lab) -> String {
    let (control, workload) = (lab.networks.control.subnet, lab.networks.workload.subnet);
    with_networks("v1alpha2", &format!("  controlPlane: {control}\n  workloadPlane: {workload}\n"))
}

/// The same with these ranges for each plane, in the layout of the later manual (P210).
pub fn configuration_of_ranges(control_plane: &[Ipv4Net], workload_plane: &[Ipv4Net]) -> String {
    let list =
        |ranges: &[Ipv4Net]| ranges.iter().map(|range| format!("      - {range}\n")).collect::<String>();
    let (control, workload) = (list(control_plane), list(workload_plane));
    let networks = format!("  controlPlane:\n    cidr:\n{control}  workloadPlane:\n    cidr:\n{workload}");
    with_networks("v1alpha3", &networks)
}

fn with_networks(layout: &str, networks: &str) -> String {
    format!(
        "apiVersion: metalk8s.scality.com/{layout}\n\
         kind: BootstrapConfiguration\n\
         networks:\n\
         {networks}\
         ca:\n  \
           minion: {BOOTSTRAP}\n\
         archives:\n  \
           - {}\n",
        archive::PRODUCT,
    )
}

/// The value of `VERSION=` if it can be part of a path.
fn version(product: &str) -> Option<&str> {
    let value = product.lines().find_map(|line| line.strip_prefix("VERSION="))?.trim().trim_matches('"');
    let fits = value.chars().all(|c| c.is_ascii_alphanumeric() || ".-+_~".contains(c));
    (fits && !value.is_empty() && !value.starts_with('.')).then_some(value)
}

fn bootstrap_machine(lab: &Lab) -> Result<&Machine, InstallError> {
    lab.bootstrap().map_err(|_| InstallError::NoMachine)
}

fn mark(machine: &Machine, path: &str) -> Result<Option<String>, MachineError> {
    let text = machine.run_checked(&format!("cat {path} 2> /dev/null || true"))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn unmount_former(machine: &Machine) -> Result<(), InstallError> {
    let output = machine.run(&format!(
        "for folder in {}/metalk8s-*; do ! mountpoint --quiet \"$folder\" || umount \"$folder\" || exit 1; done",
        paths::ARCHIVES
    ))?;
    if output.success() { Ok(()) } else { Err(InstallError::InUse) }
}

/// Makes the key pair of the manual (BOOT-08) and lets it in everywhere, so that machines can be added.
/// An RSA key as the manual prints it takes seconds of a processor; the suite `procedures` makes one.
fn share_key(lab: &Lab, machine: &Machine) -> Result<(), InstallError> {
    let key = format!("{}/salt-bootstrap", paths::PKI_DIR);
    let public = machine.run_checked(&format!(
        "set -e; mkdir -p {folder}; [ -f {key} ] || ssh-keygen -q -t ed25519 -N '' -C salt@{BOOTSTRAP} -f {key}; \
         cat {key}.pub",
        folder = paths::PKI_DIR,
    ))?;
    let public = quoted(&public);
    for machine in &lab.machines {
        machine.run_checked(&format!(
            "set -e; install -d -m 700 /root/.ssh; touch /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys; \
             grep -qxF {public} /root/.ssh/authorized_keys || echo {public} >> /root/.ssh/authorized_keys"
        ))?;
    }
    Ok(())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The administrator's kubeconfig, for the computer that the lab runs on.
pub fn kubeconfig(lab: &Lab) -> Result<String, InstallError> {
    let machine = bootstrap_machine(lab)?;
    let text = machine.run_checked(&format!("cat {}", paths::ADMIN_KUBECONFIG))?;
    Ok(with_server(&text, &format!("https://{}:6443", machine.control)))
}

/// On the node the API is reached through a local proxy, which this computer has not.
fn with_server(kubeconfig: &str, server: &str) -> String {
    let mut text = String::new();
    for line in kubeconfig.lines() {
        match line.split_once("server:") {
            Some((indent, _)) if indent.chars().all(|c| c == ' ' || c == '-') => {
                text.push_str(&format!("{indent}server: {server}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_product_txt_and_must_fit_a_path() {
        assert_eq!(version("NAME=MetalK8s\nVERSION=0.1.0\nSHORT_VERSION=0.1\n"), Some("0.1.0"));
        assert_eq!(version("VERSION=\"2.0-dev\"\n"), Some("2.0-dev"));
        for text in ["NAME=x\n", "VERSION=\n", "VERSION=../x\n", "VERSION=a b\n", "VERSION=$(id)\n"] {
            assert_eq!(version(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_stand_in_lists_as_the_later_manual_prints_them() {
        let ranges = |texts: [&str; 2]| texts.map(|text| text.parse::<Ipv4Net>().unwrap());
        let text = configuration_of_ranges(
            &ranges(["10.100.1.0/28", "10.200.1.0/28"]),
            &ranges(["10.100.2.0/28", "10.200.2.0/28"]),
        );
        let printed = "networks:\n  controlPlane:\n    cidr:\n      - 10.100.1.0/28\n      - 10.200.1.0/28\n  \
                       workloadPlane:\n    cidr:\n      - 10.100.2.0/28\n      - 10.200.2.0/28\nca:\n  minion: bootstrap\n";
        assert!(text.contains(printed) && text.contains("/v1alpha3\n"), "{text}");
    }

    #[test]
    fn a_kubeconfig_names_the_machine_and_keeps_all_else() {
        let text = "clusters:\n- cluster:\n    certificate-authority-data: c2VydmVyOg==\n    server: https://127.0.0.1:7443\n  name: x\n";
        assert_eq!(
            with_server(text, "https://198.18.7.10:6443"),
            text.replace("https://127.0.0.1:7443", "https://198.18.7.10:6443")
        );
    }

    #[test]
    fn a_private_file_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/kubeconfig");
        write_private(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}
