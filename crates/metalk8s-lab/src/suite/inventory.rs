//! What is on a machine and in its cluster, to be compared: with what was there before, or with another run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::machine::Machine;

mod files;
mod objects;

/// How many differences an error tells.
const SHOWN: usize = 40;

/// Names, each with all that is compared of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<String, String>);

/// Mounts of containers, and services that start when they are asked something and end by themselves.
const PASSING_UNITS: [&str; 7] = [
    "var-lib-kubelet-pods",
    "run-containerd",
    "run-credentials",
    "run-netns",
    "systemd-hostnamed.service active",
    "systemd-localed.service active",
    "systemd-timedated.service active",
];

/// What a bootstrap has made, without what is different each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    files: Listing,
    units: Listing,
    images: Listing,
    objects: Listing,
}

/// All files as they are now: kind, mode, owner, size, time of the last change.
///
/// Logs, and what running programs write all the time, are left out.
pub fn listing(machine: &Machine) -> Result<Listing> {
    files::with_times(machine)
}

impl Listing {
    pub(super) fn new(entries: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// All but these.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// What is in one only, or in both and not equal.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), other.0.get(name)) {
                (Some(one), Some(two)) if one == two => None,
                (Some(one), Some(two)) => Some(format!("{name}: {}", apart(one, two))),
                (Some(_), None) => Some(format!("{name} is missing")),
                (None, _) => Some(format!("{name} is new")),
            })
            .collect()
    }

    /// Fails with the differences.
    pub fn must_equal(&self, other: &Self) -> Result<()> {
        refuse(self.differences(other))
    }
}

impl Inventory {
    /// Looks at a machine whose cluster has settled.
    pub fn collect(machine: &Machine) -> Result<Self> {
        Ok(Self {
            files: files::with_contents(machine)?,
            units: units(machine)?,
            images: images(machine)?,
            objects: objects::collect(machine)?,
        })
    }

    /// How many things are compared.
    pub fn len(&self) -> usize {
        [&self.files, &self.units, &self.images, &self.objects].map(|listing| listing.0.len()).iter().sum()
    }

    /// Whether there is nothing to compare.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fails with the differences.
    pub fn must_equal(&self, other: &Self) -> Result<()> {
        let pairs = [
            (&self.files, &other.files),
            (&self.units, &other.units),
            (&self.images, &other.images),
            (&self.objects, &other.objects),
        ];
        refuse(pairs.iter().flat_map(|(one, two)| one.differences(two)).collect())
    }
}

fn refuse(mut differences: Vec<String>) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let count = differences.len();
    differences.truncate(SHOWN);
    if count > SHOWN {
        differences.push(format!("and {} more", count - SHOWN));
    }
    bail!("{count} differences:\n{}", differences.join("\n"))
}

/// The part in which two long texts differ.
fn apart(one: &str, two: &str) -> String {
    const AROUND: usize = 60;
    let same = one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count();
    let part = |text: &str| {
        let bytes = text.as_bytes();
        let from = same.saturating_sub(AROUND);
        let to = (same + AROUND).min(bytes.len());
        String::from_utf8_lossy(&bytes[from.min(to)..to]).into_owned()
    };
    format!("`{}` became `{}`", part(one), part(two))
}

fn units(machine: &Machine) -> Result<Listing> {
    let text = machine.run_checked(
        "systemctl list-unit-files --no-legend --plain --full | awk '{ print $1, $2 }'; \
         systemctl list-units --no-legend --plain --full --type service,mount --state active,failed \
             | awk '{ print \"running\", $1, $3, $4 }'",
    )?;
    let lasting = text.lines().filter(|line| PASSING_UNITS.iter().all(|part| !line.contains(part)));
    // An enabled unit is told as `name state`, and what runs as a line of its own.
    Ok(Listing::new(lasting.map(|line| (line.to_owned(), String::new()))))
}

fn images(machine: &Machine) -> Result<Listing> {
    let text = machine.run_checked("ctr --namespace k8s.io images list --quiet | grep -v '^sha256:'")?;
    Ok(Listing::new(text.lines().map(|line| (format!("image {line}"), String::new()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_with_the_part_that_differs() {
        let listing = |entries: &[(&str, &str)]| {
            Listing::new(entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
        };
        let one = listing(&[("/a", "file 644"), ("/b", "file"), ("/same", "x")]);
        let two = listing(&[("/a", "file 600"), ("/c", "file"), ("/same", "x")]);
        assert_eq!(one.differences(&two), ["/a: `file 644` became `file 600`", "/b is missing", "/c is new"]);
        assert!(one.must_equal(&one.clone()).is_ok());
        assert_eq!(one.clone().without(&["/a", "/b"]), two.clone().without(&["/a", "/c"]));
        assert!(one.must_equal(&two).unwrap_err().to_string().starts_with("3 differences:\n/a"));
    }

    #[test]
    fn texts_that_are_not_ascii_are_told_apart_too() {
        assert_eq!(apart("aä", "aö"), format!("`{}` became `{}`", "aä", "aö"));
        apart(&"ä".repeat(100), &"ö".repeat(100));
    }
}
