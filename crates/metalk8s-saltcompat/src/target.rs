//! Which minions a target of the command line means.

mod compound;
mod grain;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, str::FromStr};

use metalk8s_diagnostics::{Problem, Problems, explain, shortened};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::glob::Glob;

/// How a target is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetKind {
    /// A pattern of names, such as `node-*`.
    #[default]
    Glob,
    /// Names, such as `node-1,node-2` (`-L`).
    List,
    /// A regular expression that names begin with (`-E`).
    Pcre,
    /// A fact and a pattern of its value, such as `os:Debian` (`-G`).
    Grain,
    /// Several of these, joined by `and`, `or` and `not` (`-C`).
    Compound,
}

/// The longest target, in bytes: the names of some thousand minions. Whoever asks has not logged in yet.
const LONGEST: usize = 128 << 10;
/// How much of it is shown, in characters.
const SHOWN: usize = 80;
/// What a compiled pattern may need, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

const KINDS: [(&str, TargetKind); 5] = [
    ("glob", TargetKind::Glob),
    ("list", TargetKind::List),
    ("pcre", TargetKind::Pcre),
    ("grain", TargetKind::Grain),
    ("compound", TargetKind::Compound),
];

impl TargetKind {
    /// Salt's name of it, as it stands in the list of jobs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::List => "list",
            Self::Pcre => "pcre",
            Self::Grain => "grain",
            Self::Compound => "compound",
        }
    }
}

impl FromStr for TargetKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<String> = KINDS.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!("`{text}` is none of {}", names.join(", "))
        })
    }
}

/// Minions that are meant.
#[derive(Debug, Clone)]
pub struct Target {
    kind: TargetKind,
    text: String,
    means: Means,
}

#[derive(Debug, Clone)]
enum Means {
    Glob(Glob),
    List(BTreeSet<String>),
    Pcre(Regex),
    Grain(String),
    All(Vec<Means>),
    Any(Vec<Means>),
    Not(Box<Means>),
}

impl Target {
    /// Reads a target that is written in this way.
    ///
    /// # Errors
    /// All mistakes, each with the word it is in.
    pub fn parse(kind: TargetKind, text: &str) -> Result<Self, Problems> {
        if text.len() > LONGEST {
            let message = format!("it has {} bytes; {LONGEST} are accepted", text.len());
            let problem = Problem::new(explain::WRONG_USAGE, message).found(shortened(text, SHOWN));
            return Err(Problems::new("the target is not understood", vec![problem]));
        }
        let means = match kind {
            TargetKind::Glob => Ok(Means::Glob(Glob::new(text))),
            TargetKind::List => list(text).map_err(|problem| vec![*problem]),
            TargetKind::Pcre => pcre(text).map_err(|problem| vec![*problem]),
            TargetKind::Grain => grain(text).map_err(|problem| vec![*problem]),
            TargetKind::Compound => compound::parse(text),
        };
        match means {
            Ok(means) => Ok(Self { kind, text: text.to_owned(), means }),
            Err(problems) => Err(Problems::new(format!("the target `{text}` is not understood"), problems)),
        }
    }

    /// How it was written.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether facts of minions decide who is meant.
    pub fn needs_grains(&self) -> bool {
        self.means.needs_grains()
    }

    /// Whether it means this minion; one whose facts are not known has none.
    pub fn is_for(&self, id: &str, grains: Option<&Value>) -> bool {
        self.means.is_for(id, grains)
    }

    /// The names it lists that are none of these, in order: Salt tells that they did not return.
    pub fn missing<'k>(&self, known: impl IntoIterator<Item = &'k str>) -> BTreeSet<String> {
        let mut listed = BTreeSet::new();
        self.means.list_into(&mut listed);
        for id in known {
            listed.remove(id);
        }
        listed
    }
}

/// Those of the minions that the target means; each is given with its facts, where they are known.
pub fn matching<'m>(
    target: &Target,
    minions: impl Iterator<Item = (&'m str, Option<&'m Value>)>,
) -> BTreeSet<String> {
    minions.filter(|(id, grains)| target.is_for(id, *grains)).map(|(id, _)| id.to_owned()).collect()
}

/// So many of the minions, or all where there are not more; `pick` gives any number below its argument.
pub fn subset(
    minions: BTreeSet<String>,
    count: usize,
    mut pick: impl FnMut(usize) -> usize,
) -> BTreeSet<String> {
    let mut left: Vec<String> = minions.into_iter().collect();
    let mut picked = BTreeSet::new();
    while picked.len() < count && !left.is_empty() {
        let at = pick(left.len()) % left.len();
        picked.insert(left.swap_remove(at));
    }
    picked
}

impl Means {
    fn is_for(&self, id: &str, grains: Option<&Value>) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(id),
            Self::List(names) => names.contains(id),
            // As Python's `match`: from the beginning, but not up to the end.
            Self::Pcre(regex) => regex.find(id).is_some_and(|found| found.start() == 0),
            Self::Grain(expression) => grains.is_some_and(|grains| grain::is_in_tree(grains, expression)),
            Self::All(parts) => parts.iter().all(|part| part.is_for(id, grains)),
            Self::Any(parts) => parts.iter().any(|part| part.is_for(id, grains)),
            Self::Not(part) => !part.is_for(id, grains),
        }
    }

    fn needs_grains(&self) -> bool {
        match self {
            Self::Glob(_) | Self::List(_) | Self::Pcre(_) => false,
            Self::Grain(_) => true,
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::needs_grains),
            Self::Not(part) => part.needs_grains(),
        }
    }

    /// Not those that are excluded: it does not matter whether they exist.
    fn list_into(&self, listed: &mut BTreeSet<String>) {
        match self {
            Self::List(names) => listed.extend(names.iter().cloned()),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.list_into(listed)),
            Self::Glob(_) | Self::Pcre(_) | Self::Grain(_) | Self::Not(_) => {}
        }
    }
}

fn wrong(message: impl Into<String>, word: &str, accepted: &str) -> Box<Problem> {
    Box::new(Problem::new(explain::WRONG_USAGE, message).found(format!("`{word}`")).accepted(accepted))
}

/// Blanks part names where there is no comma.
fn list(text: &str) -> Result<Means, Box<Problem>> {
    let parts: Vec<&str> =
        if text.contains(',') { text.split(',').collect() } else { text.split_whitespace().collect() };
    let names: BTreeSet<String> =
        parts.into_iter().map(|name| name.replace(' ', "")).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(wrong("this list names no minion", text, "names such as `node-1,node-2`"));
    }
    Ok(Means::List(names))
}

fn pcre(text: &str) -> Result<Means, Box<Problem>> {
    const ACCEPTED: &str = "a regular expression such as `node-(1|2)`, without look-around such as `(?=…)`, \
                            `(?!…)`, `(?<=…)`, `(?<!…)` and without back references such as `\\1`";
    let bounded = RegexBuilder::new(text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build();
    bounded.map(Means::Pcre).map_err(|err| {
        let told = err.to_string();
        let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
        wrong(format!("this pattern is not accepted: {reason}"), text, ACCEPTED)
    })
}

fn grain(text: &str) -> Result<Means, Box<Problem>> {
    if !text.contains(':') {
        let accepted = "a fact and its value such as `os:Debian`, or `os:*` for any value";
        return Err(wrong("the value of the fact is missing", text, accepted));
    }
    Ok(Means::Grain(text.to_owned()))
}
