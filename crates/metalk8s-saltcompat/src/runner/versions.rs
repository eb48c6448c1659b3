//! Versions of minions beside the master's, as `manage.versions` shows them.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::{Map, Value, json};

/// The tree of `manage.versions`; a minion without a version did not answer.
pub fn versions<'m>(master: &str, minions: impl IntoIterator<Item = (&'m str, Option<&'m str>)>) -> Value {
    let mut groups: BTreeMap<Group, BTreeMap<&str, Value>> = BTreeMap::new();
    for (minion, version) in minions {
        let (group, shown) = match version {
            None => (Group::Offline, json!(false)),
            Some(version) => (Group::of(compare(version, master)), json!(version)),
        };
        groups.entry(group).or_default().insert(minion, shown);
    }
    let mut tree = Map::new();
    for (group, minions) in groups {
        tree.insert(group.label().to_owned(), json!(minions));
    }
    tree.insert("Master".to_owned(), master.into());
    tree.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    UpToDate,
    RequiresUpdate,
    Newer,
    Offline,
}

impl Group {
    fn of(minion: Ordering) -> Self {
        match minion {
            Ordering::Less => Self::RequiresUpdate,
            Ordering::Equal => Self::UpToDate,
            Ordering::Greater => Self::Newer,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::UpToDate => "Up to date",
            Self::RequiresUpdate => "Minion requires update",
            Self::Newer => "Minion newer than master",
            Self::Offline => "Minion offline",
        }
    }
}

/// By numbers; `2.6.0-dev` and its like come before `2.6.0`.
fn compare(one: &str, other: &str) -> Ordering {
    let (one_numbers, one_mark) = parts(one);
    let (other_numbers, other_mark) = parts(other);
    one_numbers.cmp(&other_numbers).then_with(|| match (one_mark, other_mark) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => one.cmp(other),
    })
}

fn parts(version: &str) -> (Vec<u64>, Option<&str>) {
    let (numbers, mark) = match version.split_once('-') {
        Some((numbers, mark)) => (numbers, Some(mark)),
        None => (version, None),
    };
    (numbers.split('.').map(|number| number.parse().unwrap_or_default()).collect(), mark)
}
