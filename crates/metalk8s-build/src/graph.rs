//! Draws the crates of the workspace and their layers into ARCHITECTURE.md, and refuses an upward use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::command;

/// The page that holds the picture.
pub const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- graph begin -->";
const END: &str = "<!-- graph end -->";
const PREFIX: &str = "metalk8s-";

/// Layers from below. A crate uses lower layers only.
const LAYERS: [(&str, &[&str]); 7] = [
    ("words", &["types", "diagnostics"]),
    ("cores", &["engine", "pki", "artifacts", "saltcompat"]),
    ("hands", &["host", "kube", "ssh", "listen"]),
    ("knowledge", &["formulas"]),
    ("runs", &["orchestrator"]),
    ("programs", &["agent", "operators", "gateway", "saltapi", "build", "lab"]),
    ("roof", &["cli"]),
];
/// Uses inside a layer that are meant.
const ALSO: [(&str, &str); 1] = [("saltcompat", "engine")];
/// Uses of a lower layer that are not meant: formulas only describe; the program carries neither of the tools.
const NEVER: [(&str, &str); 5] =
    [("formulas", "host"), ("formulas", "kube"), ("formulas", "ssh"), ("cli", "build"), ("cli", "lab")];

/// One crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// One line, from its Cargo.toml.
    pub description: String,
    /// Crates of ours that it uses, without the prefix.
    pub uses: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    description: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// All crates of the workspace, by name without the prefix. Uses in tests do not count.
pub fn read(root: &Path) -> anyhow::Result<BTreeMap<String, Crate>> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_slice(&command::output(&mut command)?)
        .context("`cargo metadata` is not readable")?;
    let short = |name: &str| name.strip_prefix(PREFIX).map(str::to_owned);
    let crates = metadata.packages.into_iter().filter_map(|package| {
        let uses = package.dependencies.iter().filter(|found| found.kind.as_deref() != Some("dev"));
        let uses = uses.filter_map(|found| short(&found.name)).collect();
        Some((short(&package.name)?, Crate { description: package.description.unwrap_or_default(), uses }))
    });
    Ok(crates.collect())
}

/// Refuses a crate without a layer, and a use that is not allowed; names all of them.
pub fn check(crates: &BTreeMap<String, Crate>) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (name, found) in crates {
        let Some(layer) = layer(name) else {
            wrong.push(format!("`{name}` has no layer"));
            continue;
        };
        for used in &found.uses {
            let edge = (name.as_str(), used.as_str());
            let allowed = self::layer(used).is_some_and(|below| below < layer) || ALSO.contains(&edge);
            if !allowed || NEVER.contains(&edge) {
                wrong.push(format!("`{name}` uses `{used}`"));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("crates that do not keep to their layer: {}", wrong.join("; "))
}

/// The picture: a table from the roof down.
pub fn draw(crates: &BTreeMap<String, Crate>) -> String {
    let mut text = "| layer | crate | what it is | uses |\n| --- | --- | --- | --- |\n".to_owned();
    for (number, (title, names)) in LAYERS.iter().enumerate().rev() {
        let mut shown = format!("{number} {title}");
        for name in *names {
            let Some(found) = crates.get(*name) else { continue };
            let uses: Vec<&str> = found.uses.iter().map(String::as_str).collect();
            let uses = if uses.is_empty() { "-".to_owned() } else { uses.join(", ") };
            text.push_str(&format!("| {shown} | `{PREFIX}{name}` | {} | {uses} |\n", found.description));
            shown.clear();
        }
    }
    text
}

/// Writes the picture between its markers; gives whether the page changed.
pub fn write(root: &Path, picture: &str) -> anyhow::Result<bool> {
    let path = root.join(PAGE);
    let before = fs::read_to_string(&path).with_context(|| format!("could not read `{PAGE}`"))?;
    let after = place(&before, picture)?;
    if after == before {
        return Ok(false);
    }
    fs::write(&path, after).with_context(|| format!("could not write `{PAGE}`"))?;
    Ok(true)
}

/// Fails when the page does not hold this picture.
pub fn is_current(root: &Path, picture: &str) -> anyhow::Result<()> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("could not read `{PAGE}`"))?;
    if place(&page, picture)? == page {
        return Ok(());
    }
    bail!("the picture in `{PAGE}` is old; `./doit.sh graph` writes it anew")
}

fn place(page: &str, picture: &str) -> anyhow::Result<String> {
    let Some((before, rest)) = page.split_once(BEGIN) else {
        bail!("`{PAGE}` has no line `{BEGIN}`");
    };
    let Some((_, after)) = rest.split_once(END) else {
        bail!("`{PAGE}` has no line `{END}` after `{BEGIN}`");
    };
    Ok(format!("{before}{BEGIN}\n\n{picture}\n{END}{after}"))
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, names)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crates(edges: &[(&str, &str)]) -> BTreeMap<String, Crate> {
        let mut crates = BTreeMap::new();
        for (from, to) in edges {
            for name in [from, to] {
                let new = Crate { description: String::new(), uses: BTreeSet::new() };
                crates.entry((*name).to_owned()).or_insert(new);
            }
            crates.get_mut(*from).unwrap().uses.insert((*to).to_owned());
        }
        crates
    }

    #[test]
    fn upward_and_sideward_uses_are_named() {
        assert!(check(&crates(&[("cli", "agent"), ("host", "engine"), ("saltcompat", "engine")])).is_ok());
        for edge in
            [("engine", "host"), ("host", "kube"), ("formulas", "kube"), ("cli", "lab"), ("new", "types")]
        {
            let error = check(&crates(&[edge])).unwrap_err().to_string();
            assert!(error.contains(edge.0), "{error}");
        }
    }

    #[test]
    fn the_picture_goes_between_its_markers() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let after = place(&page, "new\n").unwrap();
        assert_eq!(after, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(place(&after, "new\n").unwrap(), after);
        assert!(place("no markers", "x").is_err());
    }
}
