//! Who may ask for what.

use serde_json::{Value, json};

use super::{Asked, GRAINS, MinionsCall};
use crate::{PING, parse_words};

/// Groups whose members may do everything.
const ADMINISTRATORS: [&str; 2] = ["node-admins", "system:masters"];
/// The storage operator (CFG-19).
const STORAGE_OPERATOR: &str = "system:serviceaccount:kube-system:storage-operator";
/// States that it may apply.
const VOLUMES: &str = "metalk8s.volumes";
/// Functions of volumes that it may call.
const OF_VOLUMES: [&str; 2] = ["disk.dump", "metalk8s_volumes.device_name"];
/// Functions of minions that change nothing.
const READING: [&str; 6] = [PING, "test.version", "grains.get", "grains.item", GRAINS, "grains.ls"];

/// What somebody may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    All,
    /// What the storage operator needs.
    Volumes,
    /// What changes nothing.
    Reading,
    /// Nothing.
    Nothing,
}

impl Rights {
    /// Those of whom the product knows by name or group; of all others the cluster is asked.
    pub fn known<S: AsRef<str>>(username: &str, groups: &[S]) -> Option<Self> {
        if groups.iter().any(|group| ADMINISTRATORS.contains(&group.as_ref())) {
            Some(Self::All)
        } else if username == STORAGE_OPERATOR {
            Some(Self::Volumes)
        } else {
            None
        }
    }

    /// Those of somebody who may change, or may read, the agents' objects in the cluster: whoever may change
    /// them can give any job by that alone.
    pub fn of_agents(may_change: bool, may_read: bool) -> Self {
        match (may_change, may_read) {
            (true, _) => Self::All,
            (false, true) => Self::Reading,
            (false, false) => Self::Nothing,
        }
    }

    /// As a login tells them, in Salt's words.
    pub fn perms(self) -> Value {
        match self {
            Self::All => json!([".*", "@runner", "@wheel", "@jobs"]),
            Self::Volumes => {
                let states = json!({"state.sls": {"args": ["metalk8s\\.volumes.*"]}});
                json!([OF_VOLUMES[0], OF_VOLUMES[1], states, "@jobs"])
            }
            Self::Reading => {
                let mut perms: Vec<Value> = READING.iter().map(|name| json!(name)).collect();
                perms.extend([json!("@jobs"), json!({"@runner": ["manage\\..*"]})]);
                perms.into()
            }
            Self::Nothing => json!([]),
        }
    }

    /// Whether this may be asked for.
    pub fn allow(self, asked: &Asked) -> bool {
        let module = |function: &str| function.split('.').next().unwrap_or_default().to_owned();
        match (self, asked) {
            (Self::All, _) => true,
            (Self::Volumes, Asked::Minions(call)) => is_of_volumes(call),
            (Self::Volumes, Asked::Master(call)) => module(&call.function) == "jobs",
            (Self::Reading, Asked::Minions(call)) => READING.contains(&call.function.as_str()),
            (Self::Reading, Asked::Master(call)) => {
                matches!(module(&call.function).as_str(), "jobs" | "manage")
            }
            (Self::Volumes | Self::Reading, Asked::Keys(_)) | (Self::Nothing, _) => false,
        }
    }
}

/// All states that are named, in whichever way, must be of volumes.
fn is_of_volumes(call: &MinionsCall) -> bool {
    if OF_VOLUMES.contains(&call.function.as_str()) {
        return true;
    }
    let words = parse_words(&call.words);
    let is_known = |name: &String| ["mods", "saltenv", "pillar", "test"].contains(&name.as_str());
    let mods: Vec<&Value> = words.positional.iter().chain(words.named.get("mods")).collect();
    call.function == "state.sls"
        && !mods.is_empty()
        && mods.into_iter().all(are_of_volumes)
        && words.named.keys().all(is_known)
}

fn are_of_volumes(mods: &Value) -> bool {
    match mods {
        Value::String(text) => text.split(',').all(|name| {
            let rest = name.trim().strip_prefix(VOLUMES);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }),
        Value::Array(several) => !several.is_empty() && several.iter().all(are_of_volumes),
        _ => false,
    }
}
