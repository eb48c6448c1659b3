//! `versions.toml`: the one table of all versions.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::product::is_version;
use serde::Deserialize;

/// Name of the table at the root of the repository.
pub const FILE: &str = "versions.toml";

/// The whole table. Sections that others read (packages, addons) are ignored here.
#[derive(Debug, Clone, Deserialize)]
pub struct Versions {
    /// The product.
    pub product: ProductRow,
    /// The Go compiler.
    pub go: GoRow,
    /// Upstream programs by name.
    pub components: BTreeMap<String, Component>,
    /// What is inside the archive and neither a Go module, a crate nor a package, by name.
    #[serde(default)]
    pub parts: BTreeMap<String, Part>,
}

/// What we are.
#[derive(Debug, Clone, Deserialize)]
pub struct ProductRow {
    /// `MetalK8s`.
    pub name: String,
    /// Such as `0.1.0`.
    pub version: String,
}

/// The Go compiler.
#[derive(Debug, Clone, Deserialize)]
pub struct GoRow {
    /// The version that the pinned results were made with.
    pub version: String,
}

/// One upstream component, built in `components/<name>/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Without `v`.
    pub version: String,
    /// SPDX expression.
    pub license: String,
    /// The upstream Go module.
    pub source: String,
    /// Whether it needs a C compiler.
    #[serde(default)]
    pub cgo: bool,
    /// Whether it is linked statically although it uses C.
    #[serde(default, rename = "static")]
    pub static_link: bool,
    /// Build tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Variables set at link time; `{version}` is filled in.
    #[serde(default)]
    pub stamp: BTreeMap<String, String>,
    /// Whether the archive carries it.
    #[serde(default = "yes")]
    pub shipped: bool,
    /// What is built.
    pub programs: BTreeMap<String, Program>,
}

/// One program of a component.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What `go build` is given.
    pub package: String,
}

/// Something of others inside the archive that no package manager knows there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What is there.
    pub version: Option<String>,
    /// Or the command that tells it on the computer that builds.
    #[serde(default)]
    pub asked: Vec<String>,
    /// SPDX expression.
    pub license: String,
    /// Package URL without the version.
    pub purl: String,
    /// What holds it: components, our own program, `docs/html`.
    pub inside: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Versions {
    /// Reads `versions.toml` at the root of the repository.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        let versions: Self = toml::from_str(&text).with_context(|| format!("`{FILE}` is not valid"))?;
        if !is_version(&versions.product.version) {
            bail!("`{FILE}` has the product version `{}`, which is none", versions.product.version);
        }
        Ok(versions)
    }

    /// The first two numbers of the product version, such as `0.1`.
    pub fn short(&self) -> String {
        self.product.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
    }
}
