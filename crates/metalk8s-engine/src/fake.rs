//! A host and a cluster in memory, with failures on demand, for tests of everything that describes states.
//!
//! It keeps the same promise as real hands: after a state was applied, checking it finds nothing.

mod clock;
mod files;
mod keys;
mod removed;
mod system;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    Change, ChangeKind, Hands, State, StateError,
    state::{Extracted, Forwarding, HostsEntry, Mount, NodeMetadata, Opening, Repository, User, Wait},
};

pub use clock::FakeClock;

/// A host in memory. Shared by reference; what it is can be read and set at any moment.
#[derive(Default)]
pub struct FakeHost {
    inner: Mutex<Inner>,
    frozen: Notify,
}

#[derive(Default)]
struct Inner {
    world: World,
    failures: Vec<Failure>,
    calls: Vec<Call>,
    freeze_after: Option<usize>,
    changes: usize,
}

/// Everything that is true on a fake host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// Everything in the file system but the directories in between.
    pub files: BTreeMap<PathBuf, Entry>,
    /// Installed packages with their versions.
    pub packages: BTreeMap<String, String>,
    /// Packages that the host's updates leave alone.
    pub held: BTreeSet<String>,
    /// Packages that can be installed, with the newest version offered; any version may be asked for by name.
    pub offered: BTreeMap<String, String>,
    /// Package repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Units that exist.
    pub units: BTreeMap<String, Unit>,
    /// Units that come with a package when it is installed.
    pub units_of_packages: BTreeMap<String, Vec<String>>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Loaded kernel modules.
    pub modules: BTreeSet<String>,
    /// Mounted file systems by target.
    pub mounts: BTreeMap<PathBuf, Mount>,
    /// Files that are attached to loop devices.
    pub attached: BTreeSet<PathBuf>,
    /// The archive that was last unpacked into each folder.
    pub unpacked: BTreeMap<PathBuf, Extracted>,
    /// Whether it swaps.
    pub swap: bool,
    /// Lines of /etc/hosts.
    pub hosts: Vec<HostsEntry>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Groups by name.
    pub groups: BTreeMap<String, Option<u32>>,
    /// Openings in the firewall.
    pub openings: Vec<Opening>,
    /// Networks whose packets the firewall lets pass, by name.
    pub forwardings: BTreeMap<String, Forwarding>,
    /// Programs that ran, in order.
    pub ran: Vec<Vec<String>>,
    /// Programs that fail, such as those of `unless`; all others succeed.
    pub failing: BTreeSet<Vec<String>>,
    /// What programs write; all others write nothing.
    pub says: BTreeMap<Vec<String>, String>,
    /// Images of the container runtime: reference to digest.
    pub images: BTreeMap<String, String>,
    /// Kubernetes objects by `Kind namespace/name`.
    pub objects: BTreeMap<String, serde_json::Value>,
    /// What was set on Nodes, by name.
    pub nodes: BTreeMap<String, NodeMetadata>,
    /// How many looks each condition, by its words, takes until it holds; absent ones hold at once.
    pub conditions: BTreeMap<String, u32>,
}

/// Something in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// What it holds.
        text: String,
        /// Permission bits.
        mode: u32,
        /// The owner's name.
        user: String,
        /// The group's name.
        group: String,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// The owner's name.
        user: String,
        /// The group's name.
        group: String,
    },
    /// A symbolic link, and where it points.
    Symlink(PathBuf),
}

/// A unit of systemd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Whether it runs.
    pub running: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Whether it is masked.
    pub masked: bool,
    /// How often it was started or restarted.
    pub starts: u32,
    /// How often it was reloaded.
    pub reloads: u32,
}

/// What was asked of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A state was looked at; its label.
    Check(String),
    /// A state was changed; its label.
    Apply(String),
    /// A state reacted; its label.
    React(String),
}

/// A failure that will happen.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which states: those whose label holds this text.
    pub label: String,
    /// Where.
    pub on: FailOn,
    /// How often; after that many times it goes well.
    pub times: u32,
    /// Whether the error says that trying again can help.
    pub retryable: bool,
    /// How long it says that.
    pub passes_within: Option<Duration>,
}

/// Where a failure happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    /// When the state is looked at.
    Check,
    /// When it is applied, before anything changed.
    Apply,
    /// When it is applied, after everything changed.
    AfterApply,
    /// When it reacts.
    React,
}

impl FakeHost {
    /// A host on which this is true.
    pub fn new(world: World) -> Self {
        Self { inner: Mutex::new(Inner { world, ..Inner::default() }), frozen: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what is true now.
    pub fn world(&self) -> World {
        self.inner().world.clone()
    }

    /// Changes what is true, as somebody else would.
    pub fn change_world<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.inner().world)
    }

    /// Lets something fail.
    pub fn fail(&self, failure: Failure) {
        self.inner().failures.push(failure);
    }

    /// What was asked of it, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    /// From now on, the change after this many changes begins and never ends, as if the machine had been
    /// killed. Drop the run when [`Self::frozen`] returns, then call [`Self::thaw`].
    pub fn freeze_after(&self, changes: usize) {
        let mut inner = self.inner();
        inner.freeze_after = Some(inner.changes + changes);
    }

    /// Returns when a change was begun that never ends.
    pub async fn frozen(&self) {
        self.frozen.notified().await;
    }

    /// Changes end again.
    pub fn thaw(&self) {
        self.inner().freeze_after = None;
    }

    /// Counts a change; the one that must never end waits here.
    async fn maybe_freeze(&self) {
        let freeze = {
            let mut inner = self.inner();
            inner.changes += 1;
            inner.freeze_after.is_some_and(|after| inner.changes > after)
        };
        if freeze {
            self.frozen.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl Inner {
    fn fail_if_asked(&mut self, on: FailOn, label: &str) -> Result<(), StateError> {
        let found = self
            .failures
            .iter_mut()
            .find(|failure| failure.on == on && failure.times > 0 && label.contains(&failure.label));
        let Some(failure) = found else { return Ok(()) };
        failure.times -= 1;
        let err = StateError::new(format!("state `{label}` failed")).because("a failure was injected");
        Err(match failure.passes_within {
            Some(time) => err.passing_within(time),
            None if failure.retryable => err.retryable(),
            None => err,
        })
    }
}

impl World {
    /// What would have to change.
    fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        match state {
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_) => self.check_file(state),
            State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_) => self.check_key(state),
            State::Wait(wait) => Ok(self.check_condition(wait)),
            _ => self.check_system(state),
        }
    }

    /// Makes a state true that `check` found something to change for.
    fn make(&mut self, state: &State) -> Result<(), StateError> {
        match state {
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_) => self.make_file(state),
            State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_) => self.make_key(state),
            State::Wait(_) => Ok(()),
            _ => self.make_system(state),
        }
    }

    /// A change with what the program of a command said.
    fn done(&self, state: &State, change: Change) -> Change {
        match state {
            State::Command(command) => Change { ran: Some(self.said(command)), ..change },
            _ => change,
        }
    }

    fn check_condition(&self, wait: &Wait) -> Option<Change> {
        let words = wait.until.to_string();
        let left = self.conditions.get(&words).copied().unwrap_or(0);
        (left > 0).then(|| Change::new(ChangeKind::Wait, format!("{left} looks until {words}")))
    }

    /// Each look at a condition brings it nearer.
    fn looked_at(&mut self, state: &State) {
        if let State::Wait(wait) = state
            && let Some(left) = self.conditions.get_mut(&wait.until.to_string())
        {
            *left = left.saturating_sub(1);
        }
    }
}

/// Real hands do not answer at once; others get their turn here.
async fn take_turns() {
    tokio::task::yield_now().await;
}

#[async_trait]
impl Hands for FakeHost {
    fn takes(&self, _state: &State) -> bool {
        true
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        take_turns().await;
        let label = state.label();
        let mut inner = self.inner();
        inner.calls.push(Call::Check(label.clone()));
        inner.fail_if_asked(FailOn::Check, &label)?;
        let change = inner.world.check(state)?;
        inner.world.looked_at(state);
        Ok(change)
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        take_turns().await;
        let label = state.label();
        let done = {
            let mut inner = self.inner();
            inner.calls.push(Call::Apply(label.clone()));
            inner.fail_if_asked(FailOn::Apply, &label)?;
            inner.world.make(state)?;
            inner.fail_if_asked(FailOn::AfterApply, &label)?;
            inner.world.done(state, change.clone())
        };
        self.maybe_freeze().await;
        Ok(done)
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        let label = state.label();
        let reaction = {
            let mut inner = self.inner();
            inner.calls.push(Call::React(label.clone()));
            inner.fail_if_asked(FailOn::React, &label)?;
            let reaction = inner.world.react(state);
            reaction.map(|change| inner.world.done(state, change))
        };
        if reaction.is_some() {
            self.maybe_freeze().await;
        }
        Ok(reaction)
    }
}
