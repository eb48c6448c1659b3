//! Owners and permission bits, wished and found.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::Path,
};

use metalk8s_engine::StateError;

use crate::{Host, accounts};

/// All bits that chmod(2) sets.
pub(crate) const MODE_BITS: u32 = 0o7777;

/// What a state says of owner and mode, in the names of the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wished<'s> {
    pub(crate) mode: u32,
    pub(crate) user: Option<&'s str>,
    pub(crate) group: Option<&'s str>,
}

/// The same in the numbers of the host. `None` leaves what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) mode: u32,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

impl Numbers {
    /// Of root, with this mode.
    pub(crate) fn root(mode: u32) -> Self {
        Self { mode, uid: Some(0), gid: Some(0) }
    }
}

impl Wished<'_> {
    /// The numbers; an unknown name is an error.
    pub(crate) fn numbers(&self, host: &Host) -> Result<Numbers, StateError> {
        let known = |kind: &str, name: &str, number: Option<u32>| {
            number.ok_or_else(|| StateError::new(format!("there is no {kind} `{name}`")))
        };
        let uid = self.user.map(|name| known("user", name, accounts::uid(host, name)?)).transpose()?;
        let gid = self.group.map(|name| known("group", name, accounts::gid(host, name)?)).transpose()?;
        Ok(Numbers { mode: self.mode, uid, gid })
    }

    /// What differs, in words; a name that the host does not know yet differs.
    pub(crate) fn differences(&self, host: &Host, found: &Metadata) -> Result<Vec<String>, StateError> {
        let mut differences = Vec::new();
        let mode = found.permissions().mode() & MODE_BITS;
        if mode != self.mode & MODE_BITS {
            differences.push(format!("mode {mode:04o} to {:04o}", self.mode & MODE_BITS));
        }
        if let Some(name) = self.user
            && accounts::uid(host, name)? != Some(found.uid())
        {
            differences.push(format!("owner {} to {name}", found.uid()));
        }
        if let Some(name) = self.group
            && accounts::gid(host, name)? != Some(found.gid())
        {
            differences.push(format!("group {} to {name}", found.gid()));
        }
        Ok(differences)
    }
}

/// The permission bits of what stands at a path; links are not followed.
pub(crate) fn mode_of(path: &Path) -> Option<u32> {
    Some(fs::symlink_metadata(path).ok()?.permissions().mode() & MODE_BITS)
}

/// Gives an open file or directory its owner and mode.
pub(crate) fn give(file: &File, numbers: Numbers) -> io::Result<()> {
    let found = file.metadata()?;
    let uid = numbers.uid.filter(|uid| *uid != found.uid());
    let gid = numbers.gid.filter(|gid| *gid != found.gid());
    if uid.is_some() || gid.is_some() {
        // Before the mode, because changing the owner clears set-user-id bits.
        fchown(file, uid, gid)?;
    }
    file.set_permissions(fs::Permissions::from_mode(numbers.mode & MODE_BITS))
}
