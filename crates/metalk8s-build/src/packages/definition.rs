//! What a package is: the folders of `packages/` in the source tree, as data.
//!
//! `packages/hosts.toml` lists the hosts; `packages/<name>/package.toml` is one package, with the files it
//! carries itself (its units) beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use metalk8s_artifacts::packages::{Entry, EntryKind, Package, Relations, Source};
use serde::{Deserialize, de::DeserializeOwned};

use super::scripts;
use crate::versions::Versions;

/// The component that stands for our own program in `package.toml`.
pub const OURS: &str = "metalk8s";
const OUR_LICENSE: &str = "Apache-2.0";
const UNITS: &str = "/usr/lib/systemd/system";

/// Folders that every host has: no package of ours owns them.
const SYSTEM_FOLDERS: [&str; 10] = [
    "/etc",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd",
    "/usr/lib/systemd/system",
    "/usr/libexec",
    "/usr/share",
    "/usr/share/doc",
];

/// All definitions.
#[derive(Debug, Clone)]
pub struct Definitions {
    /// For whom.
    pub hosts: Hosts,
    /// Name to definition.
    pub packages: BTreeMap<String, Definition>,
    folder: PathBuf,
}

/// `hosts.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// Releases of Debian.
    pub debian: Vec<DebianHost>,
    /// Releases of Red Hat Enterprise Linux and what is compatible with it.
    pub redhat: Vec<RedhatHost>,
}

/// One release of Debian.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianHost {
    /// Such as `bookworm`.
    pub codename: String,
    /// Debian's packages that are carried along although none of ours asks for them.
    pub also: BTreeSet<String>,
}

/// One release of Red Hat.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedhatHost {
    /// Such as 9.
    pub major: u32,
}

/// `package.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Whose version and licence it has: a component of `versions.toml`, or `metalk8s`.
    pub component: String,
    /// Raised when the package changes and its component does not.
    pub release: u32,
    /// One line, without a full stop.
    pub summary: String,
    /// Plain text.
    pub description: String,
    /// Units of systemd, files beside `package.toml`.
    #[serde(default)]
    pub units: Vec<String>,
    /// Folders that belong to the package although it puts nothing there.
    #[serde(default)]
    pub directories: Vec<String>,
    /// Other packages, as Debian names them; `{version}` is this package's own exact version.
    #[serde(default)]
    pub debian: RelationLists,
    /// Other packages, as Red Hat names them; `{version}` is this package's own exact version.
    #[serde(default)]
    pub redhat: RelationLists,
    /// Files.
    #[serde(default)]
    pub files: Vec<FileDefinition>,
    /// Symbolic links.
    #[serde(default)]
    pub links: Vec<LinkDefinition>,
}

/// Other packages, in the words of one family.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelationLists {
    /// Must be installed as well.
    pub depends: Vec<String>,
    /// Cannot be installed as well.
    pub conflicts: Vec<String>,
    /// Whose files this one may take over (Debian only).
    pub replaces: Vec<String>,
    /// Names it also answers to.
    pub provides: Vec<String>,
}

/// One file of a package.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum FileDefinition {
    /// A program of a component, mode 0755.
    Program {
        /// Its name in `versions.toml`.
        program: String,
        /// Where it is installed.
        path: String,
    },
    /// A file that people may edit, mode 0644: it lies beside `package.toml`, and upgrades keep what it became.
    Config {
        /// Its name in the folder.
        config: String,
        /// Where it is installed.
        path: String,
    },
    /// A file that nobody edits, mode 0644: it lies beside `package.toml`.
    Data {
        /// Its name in the folder.
        data: String,
        /// Where it is installed.
        path: String,
        /// Whose hosts have it there; without it, all.
        family: Option<Family>,
    },
}

/// One symbolic link of a package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDefinition {
    /// Where it lies.
    pub path: String,
    /// What it points to, as written in the link.
    pub target: String,
}

/// How a host installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// dpkg and apt.
    Debian,
    /// rpm and dnf.
    Redhat,
}

impl Definitions {
    /// Reads the folder `packages/` of the source tree.
    pub fn read(folder: &Path) -> Result<Self> {
        let hosts = read(&folder.join("hosts.toml"))?;
        let mut packages = BTreeMap::new();
        let entries =
            fs::read_dir(folder).with_context(|| format!("could not list `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if let Some(name) = path.file_name().and_then(|name| name.to_str())
                && path.is_dir()
            {
                packages.insert(name.to_owned(), read(&path.join("package.toml"))?);
            }
        }
        ensure!(!packages.is_empty(), "`{}` defines no package", folder.display());
        Ok(Self { hosts, packages, folder: folder.to_owned() })
    }

    /// The packages for one family, with everything filled in, sorted by name.
    pub fn packages(
        &self,
        family: Family,
        versions: &Versions,
        programs: &BTreeMap<String, PathBuf>,
    ) -> Result<Vec<Package>> {
        self.packages
            .iter()
            .map(|(name, definition)| {
                self.package(name, definition, family, versions, programs)
                    .with_context(|| format!("could not define the package `{name}`"))
            })
            .collect()
    }

    /// Debian's own packages that ours ask for on a release, and those carried along.
    pub fn foreign_dependencies(&self, host: &DebianHost) -> BTreeSet<String> {
        self.packages
            .values()
            .flat_map(|definition| &definition.debian.depends)
            .filter_map(|relation| relation.split_whitespace().next())
            .filter(|name| !self.packages.contains_key(*name))
            .map(str::to_owned)
            .chain(host.also.iter().cloned())
            .collect()
    }

    fn package(
        &self,
        name: &str,
        definition: &Definition,
        family: Family,
        versions: &Versions,
        programs: &BTreeMap<String, PathBuf>,
    ) -> Result<Package> {
        let facts = facts(&definition.component, versions)?;
        let relations = match family {
            Family::Debian => &definition.debian,
            Family::Redhat => &definition.redhat,
        };
        let entries = self.entries(name, definition, family, &facts, programs)?;
        let modules: Vec<&str> =
            entries.iter().map(|entry| entry.path.as_str()).filter(|path| path.ends_with(".py")).collect();
        let release = definition.release.to_string();
        let full_version = format!("{}-{release}", facts.version);
        let fill = |list: &[String]| -> Vec<String> {
            list.iter().map(|relation| relation.replace("{version}", &full_version)).collect()
        };
        Ok(Package {
            name: name.to_owned(),
            version: facts.version.clone(),
            release,
            summary: definition.summary.clone(),
            description: definition.description.trim().to_owned(),
            license: facts.license.clone(),
            relations: Relations {
                depends: fill(&relations.depends),
                conflicts: fill(&relations.conflicts),
                replaces: fill(&relations.replaces),
                provides: fill(&relations.provides),
            },
            scripts: match family {
                Family::Debian => scripts::debian(&definition.units, &modules),
                Family::Redhat => scripts::redhat(&definition.units, &modules),
            },
            entries,
        })
    }

    fn entries(
        &self,
        name: &str,
        definition: &Definition,
        family: Family,
        facts: &Facts,
        programs: &BTreeMap<String, PathBuf>,
    ) -> Result<Vec<Entry>> {
        let beside = |file: &str| Source::Path(self.folder.join(name).join(file));
        let file = |source, mode, config| EntryKind::File { source, mode, config };
        let mut entries = BTreeMap::new();
        for defined in &definition.files {
            let (path, kind) = match defined {
                FileDefinition::Program { program, path } => {
                    let built =
                        programs.get(program).with_context(|| format!("there is no program `{program}`"))?;
                    (path, file(Source::Path(built.clone()), 0o755, false))
                }
                FileDefinition::Config { config, path } => (path, file(beside(config), 0o644, true)),
                FileDefinition::Data { family: Some(other), .. } if *other != family => continue,
                FileDefinition::Data { data, path, family: _ } => (path, file(beside(data), 0o644, false)),
            };
            entries.insert(path.clone(), kind);
        }
        for unit in &definition.units {
            entries.insert(format!("{UNITS}/{unit}"), file(beside(unit), 0o644, false));
        }
        for LinkDefinition { path, target } in &definition.links {
            entries.insert(path.clone(), EntryKind::Link { target: target.clone() });
        }
        let copyright = Source::Bytes(copyright(name, facts).into_bytes());
        entries.insert(format!("/usr/share/doc/{name}/copyright"), file(copyright, 0o644, false));
        // Folders on the way that only our packages use belong to them, or rpm would leave them behind.
        let mut folders: BTreeSet<String> = definition.directories.iter().cloned().collect();
        for path in entries.keys() {
            folders.extend(path.match_indices('/').skip(1).map(|(slash, _)| path[..slash].to_owned()));
        }
        for folder in folders {
            if !SYSTEM_FOLDERS.contains(&folder.as_str()) {
                entries.insert(folder, EntryKind::Directory { mode: 0o755 });
            }
        }
        Ok(entries.into_iter().map(|(path, kind)| Entry { path, kind }).collect())
    }
}

/// What the table of versions says of a package's contents.
struct Facts {
    version: String,
    license: String,
    origin: String,
}

fn facts(component: &str, versions: &Versions) -> Result<Facts> {
    if component == OURS {
        return Ok(Facts {
            version: versions.product.version.clone(),
            license: OUR_LICENSE.to_owned(),
            origin: "MetalK8s itself".to_owned(),
        });
    }
    let row = versions
        .components
        .get(component)
        .with_context(|| format!("there is no component `{component}` in the table of versions"))?;
    Ok(Facts {
        version: row.version.clone(),
        license: row.license.clone(),
        origin: format!("the Go module {}, version {}", row.source, row.version),
    })
}

fn copyright(name: &str, facts: &Facts) -> String {
    let Facts { version: _, license, origin } = facts;
    format!(
        "The package {name} was built by MetalK8s.\nIts contents come from {origin}.\n\
         Licence (SPDX): {license}\n\
         On Debian the text of the Apache License is /usr/share/common-licenses/Apache-2.0.\n"
    )
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("could not read the definition `{}`", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the definition `{}` is not valid", path.display()))
}

#[cfg(test)]
mod tests;
