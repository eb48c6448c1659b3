//! What a fake host is to be rid of.

use super::World;
use crate::state::Removed;

impl World {
    pub(super) fn has(&self, removed: &Removed) -> bool {
        match removed {
            Removed::Packages { names, purge: _, unneeded: _ } => {
                names.iter().any(|name| self.packages.contains_key(name))
            }
            Removed::User { name, home: _ } => self.users.contains_key(name),
            Removed::Group { name } => self.groups.contains_key(name),
            Removed::HostsName { address, name } => self.hosts.iter().any(|entry| {
                entry.names.contains(name) && address.is_none_or(|address| entry.address == address)
            }),
            Removed::Mount { target, forget: _ } => self.mounts.contains_key(target),
            Removed::LoopDevice { file } => self.attached.contains(file),
            // A fake host runs no pods, and has no network.
            Removed::Containers
            | Removed::FormerStaticPods { .. }
            | Removed::OutdatedStaticPods { .. }
            | Removed::Interface { .. }
            | Removed::Routes { .. }
            | Removed::PacketRules { .. } => false,
        }
    }

    pub(super) fn remove(&mut self, removed: &Removed) {
        match removed {
            Removed::Packages { names, purge: _, unneeded: _ } => {
                self.packages.retain(|name, _| !names.contains(name));
                self.held.retain(|name| !names.contains(name));
            }
            Removed::User { name, home: _ } => drop(self.users.remove(name)),
            Removed::Group { name } => drop(self.groups.remove(name)),
            Removed::HostsName { address, name } => {
                let of_it =
                    |entry: &crate::state::HostsEntry| address.is_none_or(|address| entry.address == address);
                for entry in self.hosts.iter_mut().filter(|entry| of_it(entry)) {
                    entry.names.retain(|other| other != name);
                }
                self.hosts.retain(|entry| !entry.names.is_empty());
            }
            Removed::Mount { target, forget: _ } => drop(self.mounts.remove(target)),
            Removed::LoopDevice { file } => drop(self.attached.remove(file)),
            Removed::Containers
            | Removed::FormerStaticPods { .. }
            | Removed::OutdatedStaticPods { .. }
            | Removed::Interface { .. }
            | Removed::Routes { .. }
            | Removed::PacketRules { .. } => {}
        }
    }
}
