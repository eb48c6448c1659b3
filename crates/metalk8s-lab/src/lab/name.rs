//! What a lab is called.

use std::{fmt, path::Path, str::FromStr};

use sha2::{Digest, Sha256};

/// Longer ones would not fit into the names of what is made of them.
const LONGEST_NAME: usize = 30;

/// The name of a lab: a DNS label of at most 30 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabName(String);

/// A name that no lab can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lab's name has 1 to 30 of `a-z`, `0-9` and `-`, with no `-` at either end; `{0}` has not")]
pub struct BadLabName(String);

impl LabName {
    /// The name for a checkout: its folder's, and some digits so that two clones do not meet.
    pub fn of_checkout(checkout: &Path) -> Self {
        let folder =
            checkout.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let mut word: String =
            folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(20).collect();
        word = word.trim_matches('-').to_owned();
        if word.is_empty() {
            word.push_str("lab");
        }
        let digest = hex::encode(&Sha256::digest(checkout.as_os_str().as_encoded_bytes())[..2]);
        Self(format!("{word}-{digest}"))
    }

    /// The name of a lab that belongs to this one, cut to what a name may have.
    pub fn beside(&self, suffix: &str) -> Self {
        let room = LONGEST_NAME.saturating_sub(suffix.len() + 1).min(self.0.len());
        Self(format!("{}-{suffix}", self.0[..room].trim_end_matches('-')))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for LabName {
    type Err = BadLabName;

    fn from_str(text: &str) -> Result<Self, BadLabName> {
        let fits = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let ends = text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > LONGEST_NAME || !fits || ends {
            return Err(BadLabName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_host_name_could_not_have_are_refused() {
        for name in ["", "-a", "a-", "A", "a.b", "a b", "a234567890123456789012345678901"] {
            assert!(name.parse::<LabName>().is_err(), "{name}");
        }
        assert_eq!("t-lab".parse::<LabName>().unwrap().as_str(), "t-lab");
    }

    #[test]
    fn two_clones_have_two_labs() {
        let one = LabName::of_checkout(Path::new("/a/metalk8s"));
        let two = LabName::of_checkout(Path::new("/b/metalk8s"));
        assert!(one.as_str().starts_with("metalk8s-") && one != two, "{one} {two}");
    }

    #[test]
    fn a_name_beside_another_is_accepted_and_differs() {
        let long: LabName = "a2345678901234567890123456789-1".replace("-1", "z").parse().unwrap();
        for name in [long, "t-lab".parse().unwrap()] {
            let beside = name.beside("bare");
            assert_eq!(beside.as_str().parse::<LabName>(), Ok(beside.clone()));
            assert_ne!(beside, name);
        }
    }

    #[test]
    fn a_folder_of_any_name_gives_a_name_that_is_accepted() {
        for folder in ["/", "/x/ÄÖ Ü", "/x/-_-", "/x/A very long name of a folder, with commas"] {
            let name = LabName::of_checkout(Path::new(folder));
            assert_eq!(name.as_str().parse::<LabName>(), Ok(name.clone()));
        }
    }
}
