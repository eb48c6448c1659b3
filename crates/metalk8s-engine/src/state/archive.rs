//! Archives that are unpacked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A folder that holds all that an archive holds: a tar, plain or compressed by gzip or zstd.
///
/// What else stands in the folder is left alone. Permission bits are those of the archive, without the bits
/// for set-user-id, set-group-id and sticky; its owners and times are not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// Absolute path of the archive.
    pub source: PathBuf,
    /// Absolute path of the folder; it is made with mode 0755 where it is missing.
    pub target: PathBuf,
    /// What the archive must be, as 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// So many leading components of each path in the archive are left out; what has no more is skipped.
    pub strip_components: u32,
    /// Name of the owner of all that is unpacked; `None` leaves it, and means root for what is new.
    pub user: Option<String>,
    /// Name of the group, likewise.
    pub group: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Extracted;
    use crate::State;

    #[test]
    fn what_is_to_be_unpacked_survives_being_stored() {
        let state = State::Extracted(Extracted {
            source: "/srv/app.tar.gz".into(),
            target: "/opt/app".into(),
            sha256: Some("0".repeat(64)),
            strip_components: 1,
            user: Some("app".to_owned()),
            group: None,
        });
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state, "{text}");
        assert_eq!(state.label(), "Archive /srv/app.tar.gz in /opt/app");
    }
}
