//! Packages, services, settings and cluster objects of the fake host.

use super::{Unit, World};
use crate::{
    Change, ChangeKind, Ran, State, StateError,
    state::{Command, NodeMetadata, Opening, Packages, Service},
};

impl World {
    pub(super) fn check_system(&self, state: &State) -> Result<Option<Change>, StateError> {
        let true_already = match state {
            State::Removed(removed) => !self.has(removed),
            State::Extracted(archive) => self.unpacked.get(&archive.target) == Some(archive),
            State::Trial(trial) => return trial.check(),
            State::Packages(packages) => self.has_packages(packages)?,
            State::Service(service) => return self.check_service(service),
            State::Command(command) => {
                let run = || Change::new(ChangeKind::Run, format!("run {}", command.argv.join(" ")));
                return Ok(self.wants_to_run(command).then(run));
            }
            State::Repository(repository) => self.repositories.get(&repository.name) == Some(repository),
            State::Sysctl(sysctl) => self.sysctls.get(&sysctl.key) == Some(&sysctl.value),
            State::KernelModule(module) => self.modules.contains(&module.name),
            State::LoopDevice(device) => self.attached.contains(&device.file),
            State::Mount(mount) => self.mounts.get(&mount.target) == Some(mount),
            State::Swap(swap) => self.swap == swap.enabled,
            State::HostsEntry(entry) => self.hosts.contains(entry),
            State::User(user) => self.users.get(&user.name) == Some(user),
            State::Group(group) => {
                self.groups.get(&group.name).is_some_and(|gid| group.gid.is_none() || *gid == group.gid)
            }
            State::Opening(opening) => self.openings.contains(opening),
            State::Forwarding(forwarding) => self.forwardings.get(&forwarding.name) == Some(forwarding),
            State::Image(image) => self.images.get(&image.reference) == Some(&image.digest),
            State::StaticPod(pod) => self.objects.get(&pod.path.display().to_string()) == Some(&pod.manifest),
            State::Object(object) => self.objects.get(&state.label()) == Some(&object.manifest),
            State::NodeMetadata(node) => self.has_metadata(node),
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_)
            | State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_)
            | State::Backup(_)
            | State::Wait(_) => true,
        };
        Ok((!true_already).then(|| Change::new(ChangeKind::Update, format!("set {}", state.label()))))
    }

    pub(super) fn make_system(&mut self, state: &State) -> Result<(), StateError> {
        match state {
            State::Removed(removed) => self.remove(removed),
            State::Extracted(archive) => {
                self.unpacked.insert(archive.target.clone(), archive.clone());
            }
            State::Trial(trial) => return trial.apply(&Change::new(ChangeKind::Update, &*trial.says)),
            State::Packages(packages) => self.install(packages),
            State::Service(service) => self.set_service(service),
            State::Command(command) => return self.run(command),
            State::Repository(repository) => {
                self.repositories.insert(repository.name.clone(), repository.clone());
            }
            State::Sysctl(sysctl) => {
                self.sysctls.insert(sysctl.key.clone(), sysctl.value.clone());
            }
            State::KernelModule(module) => {
                self.modules.insert(module.name.clone());
            }
            State::LoopDevice(device) => {
                self.attached.insert(device.file.clone());
            }
            State::Mount(mount) => {
                self.mounts.insert(mount.target.clone(), mount.clone());
            }
            State::Swap(swap) => self.swap = swap.enabled,
            State::HostsEntry(entry) => {
                self.hosts.retain(|other| !other.names.iter().any(|name| entry.names.contains(name)));
                self.hosts.push(entry.clone());
            }
            State::User(user) => {
                self.users.insert(user.name.clone(), user.clone());
            }
            State::Group(group) => {
                self.groups.insert(group.name.clone(), group.gid);
            }
            State::Opening(opening) => {
                let key = |opening: &Opening| (opening.name.clone(), opening.protocol.clone(), opening.port);
                self.openings.retain(|other| key(other) != key(opening));
                self.openings.push(opening.clone());
            }
            State::Forwarding(forwarding) => {
                self.forwardings.insert(forwarding.name.clone(), forwarding.clone());
            }
            State::Image(image) => {
                self.images.insert(image.reference.clone(), image.digest.clone());
            }
            State::StaticPod(pod) => {
                self.objects.insert(pod.path.display().to_string(), pod.manifest.clone());
            }
            State::Object(object) => {
                self.objects.insert(state.label(), object.manifest.clone());
            }
            State::NodeMetadata(node) => self.set_metadata(node),
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_)
            | State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_)
            | State::Backup(_)
            | State::Wait(_) => {}
        }
        Ok(())
    }

    /// Restarts or reloads a service that should run, runs a command that waits for a change.
    pub(super) fn react(&mut self, state: &State) -> Option<Change> {
        match state {
            State::Service(service) if service.running == Some(true) => {
                let unit = self.units.get_mut(&service.name)?;
                let verb = if service.reload {
                    unit.reloads += 1;
                    "reload"
                } else {
                    unit.starts += 1;
                    "restart"
                };
                Some(Change::new(ChangeKind::Run, format!("{verb} {}", service.name)))
            }
            State::Command(command) if command.only_on_change => {
                self.ran.push(command.argv.clone());
                Some(Change::new(ChangeKind::Run, format!("run {}", command.argv.join(" "))))
            }
            _ => None,
        }
    }

    fn has_packages(&self, wanted: &Packages) -> Result<bool, StateError> {
        let Packages { packages, hold, only_from: _ } = wanted;
        let mut all = true;
        for (name, version) in packages {
            match self.packages.get(name) {
                Some(installed) if version.as_ref().is_none_or(|version| version == installed) => {
                    all &= !hold || self.held.contains(name);
                }
                _ if self.offered.contains_key(name) => all = false,
                _ => return Err(StateError::new(format!("no candidate was found for `{name}`"))),
            }
        }
        Ok(all)
    }

    fn install(&mut self, wanted: &Packages) {
        for (name, version) in &wanted.packages {
            let installed = self.packages.get(name).or_else(|| self.offered.get(name));
            let version = version.as_ref().or(installed).cloned().unwrap_or_default();
            self.packages.insert(name.clone(), version);
            if wanted.hold {
                self.held.insert(name.clone());
            }
            for unit in self.units_of_packages.get(name).into_iter().flatten() {
                self.units.entry(unit.clone()).or_default();
            }
        }
    }

    fn check_service(&self, service: &Service) -> Result<Option<Change>, StateError> {
        let Service { name, running, enabled, masked, may_be_missing, reload: _, reads: _ } = service;
        let Some(unit) = self.units.get(name) else {
            let content = *may_be_missing && *running != Some(true);
            return if content {
                Ok(None)
            } else {
                Err(StateError::new(format!("unit `{name}` does not exist")))
            };
        };
        let is = running.is_none_or(|running| unit.running == running)
            && enabled.is_none_or(|enabled| unit.enabled == enabled)
            && unit.masked == *masked;
        let (kind, verb) = match (unit.running, *running) {
            (false, Some(true)) => (ChangeKind::Run, "start"),
            (true, Some(false)) => (ChangeKind::Update, "stop"),
            _ => (ChangeKind::Update, "set up"),
        };
        Ok((!is).then(|| Change::new(kind, format!("{verb} {name}"))))
    }

    fn set_service(&mut self, service: &Service) {
        let unit: &mut Unit = self.units.entry(service.name.clone()).or_default();
        if service.running == Some(true) && !unit.running {
            unit.starts += 1;
        }
        unit.running = service.running.unwrap_or(unit.running);
        unit.enabled = service.enabled.unwrap_or(unit.enabled);
        unit.masked = service.masked;
    }

    fn wants_to_run(&self, command: &Command) -> bool {
        let succeeds = |argv: &Vec<String>| !self.failing.contains(argv);
        !command.only_on_change
            && !command.creates.as_ref().is_some_and(|path| self.files.contains_key(path))
            && !command.unless.as_ref().is_some_and(succeeds)
            && command.only_if.as_ref().is_none_or(succeeds)
    }

    fn run(&mut self, command: &Command) -> Result<(), StateError> {
        self.ran.push(command.argv.clone());
        if self.failing.contains(&command.argv) {
            let line = command.argv.join(" ");
            let ran = Change { ran: Some(self.said(command)), ..Change::new(ChangeKind::Run, "") };
            return Err(StateError::new(format!("`{line}` ended with status 1")).having_done(ran));
        }
        if let Some(path) = &command.creates {
            self.write(path, "");
        }
        if let Some(argv) = &command.unless {
            self.failing.remove(argv);
        }
        Ok(())
    }

    /// How the command that ran last ended.
    pub(super) fn said(&self, command: &Command) -> Ran {
        let stdout = self.says.get(&command.argv).cloned().unwrap_or_default();
        let status = i32::from(self.failing.contains(&command.argv));
        Ran { pid: u32::try_from(self.ran.len()).ok(), status, stdout, stderr: String::new() }
    }

    fn has_metadata(&self, wanted: &NodeMetadata) -> bool {
        let NodeMetadata { node, labels, annotations, taints } = wanted;
        self.nodes.get(node).is_some_and(|found| {
            labels.iter().all(|(key, value)| found.labels.get(key) == Some(value))
                && annotations.iter().all(|(key, value)| found.annotations.get(key) == Some(value))
                && taints.iter().all(|taint| found.taints.contains(taint))
        })
    }

    fn set_metadata(&mut self, wanted: &NodeMetadata) {
        let NodeMetadata { node, labels, annotations, taints } = wanted.clone();
        let found = self.nodes.entry(node.clone()).or_insert_with(|| NodeMetadata {
            node,
            labels: labels.clone(),
            annotations: annotations.clone(),
            taints: Vec::new(),
        });
        found.labels.extend(labels);
        found.annotations.extend(annotations);
        for taint in taints {
            if !found.taints.contains(&taint) {
                found.taints.push(taint);
            }
        }
    }
}
