//! A lab: its name, its machines, its beginning and its end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use metalk8s_diagnostics::{Diagnose, Durations, Hint, Progress};
use serde::Deserialize;

use crate::{
    archive::{self, ArchiveError},
    cache::{Cache, CacheError, Lock},
    image::{self, ImageError},
    install::{self, InstallError},
    loops,
    machine::{Machine, MachineError, Power},
    network::{self, NetworkError, Networks},
    podman::{LAB_LABEL, Podman, PodmanError},
    preflight::{self, PreflightError},
    snapshot,
};

mod name;
mod temporary;

pub use name::{BadLabName, LabName};
pub use temporary::TemporaryLab;

/// Label of a machine: its host name.
const MACHINE_LABEL: &str = "com.metalk8s.machine";
const CONTROL_LABEL: &str = "com.metalk8s.control";
const WORKLOAD_LABEL: &str = "com.metalk8s.workload";
/// The machine that is bootstrapped.
pub const BOOTSTRAP: &str = "bootstrap";
/// Where in the cache the durations of steps are kept, and the names of two of them.
const DURATIONS: &str = "durations/lab";
const BOOT_STEP: &str = "boot";
const BOOTSTRAP_STEP: &str = "bootstrap";
/// Seconds that a machine took to boot where it was tried.
const BOOT_ESTIMATE: u64 = 3;
/// Nine more were pre-defined for developers (DEV-02).
pub const MOST_MACHINES: u8 = 10;

/// What a lab shall be.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Its name.
    pub name: LabName,
    /// How many machines, from 1 to [`MOST_MACHINES`].
    pub machines: u8,
    /// The product's ISO; `None` for bare machines.
    pub archive: Option<PathBuf>,
    /// Whether to run `bootstrap.sh`.
    pub bootstrap: bool,
}

/// A lab that is there.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Its name.
    pub name: LabName,
    /// Its networks.
    pub networks: Networks,
    /// Its machines, `bootstrap` first.
    pub machines: Vec<Machine>,
}

/// What `down` removed, by name.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// Containers.
    pub machines: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
}

/// Why a lab is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This computer cannot have one.
    #[error("this computer is not ready for a lab")]
    Preflight(#[source] metalk8s_diagnostics::Diagnosed),
    /// The cache cannot be used.
    #[error("could not use the cache")]
    Cache(#[from] CacheError),
    /// There is no machine image.
    #[error("could not make the machine image")]
    Image(#[source] metalk8s_diagnostics::Diagnosed),
    /// The networks are not there.
    #[error("could not set up the networks of the lab")]
    Network(#[from] NetworkError),
    /// A machine does not do what it should.
    #[error("could not set up the machines of the lab")]
    Machine(#[source] metalk8s_diagnostics::Diagnosed),
    /// The archive cannot be given to the machines.
    #[error("could not give the archive to the machines")]
    Archive(#[source] metalk8s_diagnostics::Diagnosed),
    /// The product could not be installed.
    #[error("could not install the product on the machine `bootstrap`")]
    Install(#[source] metalk8s_diagnostics::Diagnosed),
    /// A snapshot could not be made or brought back.
    #[error("could not make or bring back a snapshot of the lab")]
    Snapshot(#[source] metalk8s_diagnostics::Diagnosed),
    /// The container engine refused.
    #[error("could not look up or change the parts of the lab")]
    Podman(#[from] PodmanError),
    /// More or fewer machines than possible.
    #[error("a lab has 1 to {MOST_MACHINES} machines, not {0}")]
    Machines(u8),
    /// There is no such lab.
    #[error("there is no lab `{0}`")]
    Absent(String),
    /// There is no such machine in it.
    #[error("the lab `{lab}` has no machine `{machine}`, but {}", known.join(", "))]
    NoMachine {
        /// The lab.
        lab: String,
        /// What was asked for.
        machine: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl Diagnose for LabError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Absent(_) => {
                vec!["`./lab up` makes one; `./lab list` tells which there are".into()]
            }
            Self::NoMachine { machine, .. } if machine.starts_with("node") => {
                vec!["`./lab up --machines N` adds machines to the lab".into()]
            }
            _ => Vec::new(),
        }
    }
}

macro_rules! from_diagnosed {
    ($($error:ident => $variant:ident),*) => {$(
        impl From<$error> for LabError {
            fn from(error: $error) -> Self {
                Self::$variant(metalk8s_diagnostics::Diagnosed::new(error))
            }
        }
    )*};
}
from_diagnosed!(
    PreflightError => Preflight,
    ImageError => Image,
    MachineError => Machine,
    ArchiveError => Archive,
    InstallError => Install
);

impl Lab {
    /// Makes the lab as it shall be, from whatever is already there of it.
    ///
    /// Killed anywhere and called again, it goes on; called once more, it does nothing.
    pub fn up(config: &LabConfig, progress: &Progress) -> Result<Self, LabError> {
        Self::up_in(&Cache::of_this_user()?, config, progress)
    }

    fn up_in(cache: &Cache, config: &LabConfig, progress: &Progress) -> Result<Self, LabError> {
        if config.machines == 0 || config.machines > MOST_MACHINES {
            return Err(LabError::Machines(config.machines));
        }
        let podman = Podman::new(cache)?;
        let _lock = alone(cache, &config.name, progress)?;
        if config.bootstrap
            && let Some(path) = &config.archive
        {
            archive::look_at(path)?;
        }
        preflight::check(cache, &podman, config.machines)?;
        let durations = durations(cache)?;
        let image = image::ensure(&podman, cache, &durations, progress)?;
        let networks = {
            let _lock =
                cache.lock("subnets", |_| progress.say("another lab chooses its subnets, waiting"))?;
            Networks::ensure(&podman, config.name.as_str())?
        };
        archive::prepare_volume(&podman, config.name.as_str())?;
        let lab =
            Self { name: config.name.clone(), machines: find_machines(&podman, &config.name)?, networks };
        let lab = lab.with_machines(&podman, &image, config.machines, &durations, progress)?;
        lab.networks.join()?;
        if let Some(path) = &config.archive {
            install::prepare(&lab, &podman, path, progress)?;
            if config.bootstrap {
                let is_new = !install::is_bootstrapped(&lab)?;
                let started = Instant::now();
                install::bootstrap(&lab, progress)?;
                if is_new {
                    durations.remember(BOOTSTRAP_STEP, started.elapsed());
                }
            }
        }
        Ok(lab)
    }

    /// The lab as it is.
    pub fn find(name: &LabName) -> Result<Self, LabError> {
        let podman = Podman::new(&Cache::of_this_user()?)?;
        let machines = find_machines(&podman, name)?;
        match Networks::find(&podman, name.as_str())? {
            Some(networks) if !machines.is_empty() => Ok(Self { name: name.clone(), networks, machines }),
            _ => Err(LabError::Absent(name.to_string())),
        }
    }

    /// The names of all labs of this computer, complete or not.
    pub fn list() -> Result<Vec<String>, LabError> {
        let podman = Podman::new(&Cache::of_this_user()?)?;
        let mut names = std::collections::BTreeSet::new();
        for kind in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
            let filter = format!("label={LAB_LABEL}");
            let args: Vec<_> = kind.iter().copied().chain(["--filter", &filter]).collect();
            let found: Option<Vec<Labelled>> = podman.query(&args)?;
            names.extend(found.unwrap_or_default().into_iter().filter_map(|one| one.label(LAB_LABEL)));
        }
        Ok(names.into_iter().collect())
    }

    /// Removes everything that carries the lab's label, and nothing else.
    pub fn down(name: &LabName, progress: &Progress) -> Result<Removed, LabError> {
        let cache = Cache::of_this_user()?;
        let _lock = alone(&cache, name, progress)?;
        Self::remove(&Podman::new(&cache)?, name)
    }

    /// The machine of this name.
    pub fn machine(&self, name: &str) -> Result<&Machine, LabError> {
        self.machines.iter().find(|machine| machine.name == name).ok_or_else(|| LabError::NoMachine {
            lab: self.name.to_string(),
            machine: name.to_owned(),
            known: self.machines.iter().map(|machine| format!("`{}`", machine.name)).collect(),
        })
    }

    /// The machine that is bootstrapped.
    pub fn bootstrap(&self) -> Result<&Machine, LabError> {
        self.machine(BOOTSTRAP)
    }

    /// Shows all machines a further archive; gives its path there.
    pub fn offer_archive(&self, path: &Path, name: &str) -> Result<String, LabError> {
        let podman = Podman::new(&Cache::of_this_user()?)?;
        archive::offer(&podman, self.name.as_str(), path, name)?;
        Ok(format!("{}/{name}", archive::FOLDER))
    }

    /// Keeps all machines as they are, under a name; they are shut down for it and started again.
    pub fn take_snapshot(&self, name: &LabName, progress: &Progress) -> Result<(), LabError> {
        let cache = Cache::of_this_user()?;
        let _lock = alone(&cache, &self.name, progress)?;
        Ok(snapshot::take(&Podman::new(&cache)?, &self.name, &self.machines, name, progress)?)
    }

    /// Puts all machines back to where they were when the snapshot was made.
    pub fn restore_snapshot(&self, name: &LabName, progress: &Progress) -> Result<(), LabError> {
        let cache = Cache::of_this_user()?;
        let _lock = alone(&cache, &self.name, progress)?;
        let podman = Podman::new(&cache)?;
        snapshot::restore(&podman, &self.name, &self.networks, &self.machines, name, progress)?;
        Ok(self.networks.join()?)
    }

    fn remove(podman: &Podman, name: &LabName) -> Result<Removed, LabError> {
        let mut removed = Removed::default();
        let filter = format!("label={LAB_LABEL}={name}");
        let machines = find_machines(podman, name)?;
        loops::detach(podman, &machines);
        for machine in machines {
            podman.run(["rm", "--force", "--time", "0", &machine.container])?;
            removed.machines.push(machine.container);
        }
        let volumes: Option<Vec<Labelled>> = podman.query(&["volume", "ls", "--filter", &filter])?;
        for volume in volumes.unwrap_or_default() {
            let Some(name) = volume.name() else { continue };
            podman.run(["volume", "rm", "--force", &name])?;
            removed.volumes.push(name);
        }
        snapshot::remove_images(podman, name)?;
        removed.networks = network::remove(podman, name.as_str())?;
        Ok(removed)
    }

    fn with_machines(
        mut self,
        podman: &Podman,
        image: &str,
        machines: u8,
        durations: &Durations,
        progress: &Progress,
    ) -> Result<Self, LabError> {
        for index in 0..machines {
            let name = if index == 0 { BOOTSTRAP.to_owned() } else { format!("node{index}") };
            if self.machines.iter().all(|machine| machine.name != name) {
                let machine = self.plan_machine(podman, name, index);
                create(podman, &self.name, &self.networks, &machine, image)?;
                self.machines.push(machine);
            }
        }
        for machine in &self.machines {
            if machine.power()? == Power::Off {
                let seconds = durations.of(BOOT_STEP, BOOT_ESTIMATE);
                let step = progress.step(format!("Booting the machine {} (about {seconds} s)", machine.name));
                let started = Instant::now();
                machine.start()?;
                step.done();
                durations.remember(BOOT_STEP, started.elapsed());
            }
        }
        Ok(self)
    }

    fn plan_machine(&self, podman: &Podman, name: String, index: u8) -> Machine {
        Machine {
            podman: podman.clone(),
            init: Arc::default(),
            container: format!("metalk8s-{}-{name}", self.name),
            control: self.networks.control.machine(index),
            workload: self.networks.workload.machine(index),
            name,
        }
    }
}

fn durations(cache: &Cache) -> Result<Durations, CacheError> {
    Ok(Durations::read(cache.folder(DURATIONS)?))
}

/// Seconds that `bootstrap.sh` took when [`Lab::up`] last ran it, else `guess`.
pub(crate) fn bootstrap_estimate(guess: u32) -> u64 {
    let guess = u64::from(guess);
    let found = Cache::of_this_user().and_then(|cache| durations(&cache));
    found.map_or(guess, |durations| durations.of(BOOTSTRAP_STEP, guess))
}

/// One command at a time changes a lab.
fn alone(cache: &Cache, name: &LabName, progress: &Progress) -> Result<Lock, CacheError> {
    cache.lock(&format!("lab-{name}"), |_| {
        progress.say(&format!("another command works on the lab `{name}`, waiting for it"));
    })
}

/// What the container engine lists, of any kind.
#[derive(Debug, Deserialize)]
struct Labelled {
    #[serde(alias = "Names", alias = "Name")]
    name: Option<Names>,
    #[serde(alias = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Labelled {
    fn label(&self, key: &str) -> Option<String> {
        self.labels.as_ref()?.get(key).cloned()
    }

    fn name(&self) -> Option<String> {
        match self.name.as_ref()? {
            Names::One(name) => Some(name.clone()),
            Names::Many(names) => names.first().cloned(),
        }
    }
}

fn find_machines(podman: &Podman, lab: &LabName) -> Result<Vec<Machine>, PodmanError> {
    let filter = format!("label={LAB_LABEL}={lab}");
    let found: Option<Vec<Labelled>> = podman.query(&["ps", "--all", "--filter", &filter])?;
    let mut machines: Vec<_> = found
        .unwrap_or_default()
        .into_iter()
        .filter_map(|listed| {
            Some(Machine {
                podman: podman.clone(),
                init: Arc::default(),
                container: listed.name()?,
                control: listed.label(CONTROL_LABEL)?.parse().ok()?,
                workload: listed.label(WORKLOAD_LABEL)?.parse().ok()?,
                name: listed.label(MACHINE_LABEL)?,
            })
        })
        .collect();
    machines.sort_by_key(|machine| machine.control);
    Ok(machines)
}

pub(crate) fn create(
    podman: &Podman,
    lab: &LabName,
    networks: &Networks,
    machine: &Machine,
    image: &str,
) -> Result<(), PodmanError> {
    let Machine { podman: _, init: _, name, container, control, workload } = machine;
    let volume = format!("{container}-var");
    // A volume without its machine is left from a run that ended between the two, and may be half filled.
    if podman.exists("volume", &volume)? {
        podman.run(["volume", "rm", &volume])?;
    }
    let lab_label = format!("{LAB_LABEL}={lab}");
    podman.run(["volume", "create", "--label", &lab_label, &volume])?;
    let network = |network: &str, address: &std::net::Ipv4Addr, interface: &str| {
        let [_, b, c, d] = address.octets();
        // A card keeps its address over restarts, so neighbours need not learn it again.
        format!(
            "--network={network}:ip={address},interface_name={interface},mac=02:c6:00:{b:02x}:{c:02x}:{d:02x}"
        )
    };
    let args = [
        "create".to_owned(),
        format!("--name={container}"),
        format!("--hostname={name}"),
        format!("--label={lab_label}"),
        format!("--label={MACHINE_LABEL}={name}"),
        format!("--label={CONTROL_LABEL}={control}"),
        format!("--label={WORKLOAD_LABEL}={workload}"),
        network(&networks.control.name, control, "eth0"),
        network(&networks.workload.name, workload, "eth1"),
        // These files are the machine's own, and must be replaceable.
        "--no-hosts".to_owned(),
        "--dns=none".to_owned(),
        "--ulimit=host".to_owned(),
        "--privileged".to_owned(),
        "--cgroupns=private".to_owned(),
        // podman's own way of running systemd lets all machines share the computer's control groups (v1).
        "--systemd=false".to_owned(),
        "--stop-signal=SIGRTMIN+3".to_owned(),
        "--env=container=podman".to_owned(),
        "--tmpfs=/run:exec,mode=755".to_owned(),
        "--tmpfs=/run/lock".to_owned(),
        "--tmpfs=/tmp:exec,mode=1777".to_owned(),
        // `reboot` typed on the machine ends the container with 129; a cut or a shutdown does not come here.
        "--restart=on-failure".to_owned(),
        // An overlay cannot stand on an overlay, and containerd keeps its own below /var.
        format!("--volume={volume}:/var"),
        format!("--volume={}:/archives:ro", archive::volume(lab.as_str())),
        image.to_owned(),
        "/sbin/init".to_owned(),
    ];
    podman.run(args).map(drop)
}
