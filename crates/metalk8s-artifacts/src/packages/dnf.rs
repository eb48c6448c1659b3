//! What makes a folder of `.rpm` files a repository: `repodata/repomd.xml` and the three lists it names.

use std::{
    fs,
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::apt::gzip;
use crate::digest::sha256;

/// One package as the lists tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnfPackage {
    /// Its place below the repository, such as `Packages/runc-1.5.2-1.x86_64.rpm`.
    pub file_name: String,
    /// Bytes of the file.
    pub size: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// Where the main header lies in the file: dnf fetches it alone.
    pub header: Range<u64>,
    /// Such as `runc`.
    pub name: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// Version of what is inside.
    pub version: String,
    /// Counts the packagings of that version.
    pub release: String,
    /// One line.
    pub summary: String,
    /// Plain text.
    pub description: String,
    /// SPDX expression.
    pub license: String,
    /// Seconds since 1970.
    pub built: u64,
    /// Bytes on the host.
    pub installed: u64,
    /// Bytes of the payload, not compressed.
    pub archive: u64,
    /// What it answers to.
    pub provides: Vec<Capability>,
    /// What it needs.
    pub requires: Vec<Capability>,
    /// What it cannot stand beside.
    pub conflicts: Vec<Capability>,
    /// What it takes the place of.
    pub obsoletes: Vec<Capability>,
    /// All its paths, sorted.
    pub files: Vec<PackagedPath>,
}

/// A name, perhaps with a version, that one package has and another needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// A package, a path, or a word such as `config(kubelet)`.
    pub name: String,
    /// How the version is compared; without one any will do.
    pub version: Option<(Comparison, String)>,
    /// Needed already by a script of the installation.
    pub before: bool,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    fn word(self) -> &'static str {
        match self {
            Self::Equal => "EQ",
            Self::Less => "LT",
            Self::LessOrEqual => "LE",
            Self::Greater => "GT",
            Self::GreaterOrEqual => "GE",
        }
    }
}

/// A path that a package puts on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagedPath {
    /// Absolute.
    pub path: String,
    /// Whether it is a folder.
    pub directory: bool,
}

/// Why the lists of a repository could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write `{path}`")]
pub struct WriteRepodataError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

const COMMON: &str = "http://linux.duke.edu/metadata/common";
const RPM: &str = "http://linux.duke.edu/metadata/rpm";
const FILELISTS: &str = "http://linux.duke.edu/metadata/filelists";
const OTHER: &str = "http://linux.duke.edu/metadata/other";
const REPO: &str = "http://linux.duke.edu/metadata/repo";

/// Writes `repodata/` below `root`, dated `date` (seconds since 1970), and hands back its folder and the text
/// of `repomd.xml`. The caller signs that text, as `repomd.xml.asc` beside it.
///
/// The lists carry their sha256 in their names, so that none is taken for an older one of a cache.
pub fn write_repodata(
    root: &Path,
    date: u64,
    packages: &[DnfPackage],
) -> Result<(PathBuf, String), WriteRepodataError> {
    let folder = root.join("repodata");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteRepodataError { path, source }
    };
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let mut packages: Vec<_> = packages.iter().collect();
    packages.sort_by(|one, other| one.file_name.cmp(&other.file_name));

    let mut lists = Vec::new();
    for (kind, text) in
        [("primary", primary(&packages)), ("filelists", filelists(&packages)), ("other", other(&packages))]
    {
        let open = text.map_err(at(&folder))?;
        let closed = gzip(&open).map_err(at(&folder))?;
        let name = format!("{}-{kind}.xml.gz", sha256(&closed));
        let path = folder.join(&name);
        fs::write(&path, &closed).map_err(at(&path))?;
        lists.push(List { kind, name, open, closed });
    }
    let path = folder.join("repomd.xml");
    let text = repomd(date, &lists).map_err(at(&path))?;
    fs::write(&path, &text).map_err(at(&path))?;
    Ok((folder, text))
}

struct List {
    kind: &'static str,
    name: String,
    open: Vec<u8>,
    closed: Vec<u8>,
}

type Xml = Writer<Vec<u8>>;
type Attributes<'a> = &'a [(&'a str, &'a str)];

fn document(
    name: &str,
    attributes: Attributes<'_>,
    fill: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    parent(&mut xml, name, attributes, fill)?;
    let mut bytes = xml.into_inner();
    bytes.write_all(b"\n")?;
    Ok(bytes)
}

fn parent(
    xml: &mut Xml,
    name: &str,
    attributes: Attributes<'_>,
    fill: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
    xml.write_event(Event::Start(start))?;
    fill(xml)?;
    xml.write_event(Event::End(BytesEnd::new(name)))
}

fn text(xml: &mut Xml, name: &str, attributes: Attributes<'_>, text: &str) -> io::Result<()> {
    parent(xml, name, attributes, |xml| xml.write_event(Event::Text(BytesText::new(text))))
}

fn empty(xml: &mut Xml, name: &str, attributes: Attributes<'_>) -> io::Result<()> {
    let element = BytesStart::new(name).with_attributes(attributes.iter().copied());
    xml.write_event(Event::Empty(element))
}

fn primary(packages: &[&DnfPackage]) -> io::Result<Vec<u8>> {
    let count = packages.len().to_string();
    let attributes = [("xmlns", COMMON), ("xmlns:rpm", RPM), ("packages", &count)];
    document("metadata", &attributes, |xml| {
        packages.iter().try_for_each(|package| primary_package(xml, package))
    })
}

fn primary_package(xml: &mut Xml, package: &DnfPackage) -> io::Result<()> {
    let number = |number: u64| number.to_string();
    parent(xml, "package", &[("type", "rpm")], |xml| {
        text(xml, "name", &[], &package.name)?;
        text(xml, "arch", &[], &package.architecture)?;
        version(xml, package)?;
        let attributes = [("type", "sha256"), ("pkgid", "YES")];
        text(xml, "checksum", &attributes, &package.sha256)?;
        text(xml, "summary", &[], &package.summary)?;
        text(xml, "description", &[], &package.description)?;
        empty(xml, "packager", &[])?;
        empty(xml, "url", &[])?;
        let built = number(package.built);
        empty(xml, "time", &[("file", &built), ("build", &built)])?;
        let (size, installed, archive) =
            (number(package.size), number(package.installed), number(package.archive));
        let sizes = [("package", &*size), ("installed", &installed), ("archive", &archive)];
        empty(xml, "size", &sizes)?;
        empty(xml, "location", &[("href", &package.file_name)])?;
        parent(xml, "format", &[], |xml| {
            text(xml, "rpm:license", &[], &package.license)?;
            empty(xml, "rpm:vendor", &[])?;
            text(xml, "rpm:group", &[], "Unspecified")?;
            empty(xml, "rpm:buildhost", &[])?;
            empty(xml, "rpm:sourcerpm", &[])?;
            let Range { start, end } = package.header;
            let range = [("start", &*number(start)), ("end", &*number(end))];
            empty(xml, "rpm:header-range", &range)?;
            capabilities(xml, "rpm:provides", &package.provides)?;
            capabilities(xml, "rpm:requires", &package.requires)?;
            capabilities(xml, "rpm:conflicts", &package.conflicts)?;
            capabilities(xml, "rpm:obsoletes", &package.obsoletes)?;
            // Only the paths that other packages may ask for without the long list.
            let asked = |path: &&PackagedPath| path.path.starts_with("/etc/") || path.path.contains("bin/");
            package.files.iter().filter(asked).try_for_each(|path| file(xml, path))
        })
    })
}

fn version(xml: &mut Xml, package: &DnfPackage) -> io::Result<()> {
    empty(xml, "version", &[("epoch", "0"), ("ver", &package.version), ("rel", &package.release)])
}

fn capabilities(xml: &mut Xml, name: &str, all: &[Capability]) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    parent(xml, name, &[], |xml| {
        for Capability { name, version, before } in all {
            let mut attributes = vec![("name", name.as_str())];
            if let Some((comparison, version)) = version {
                let (version, release) = match version.split_once('-') {
                    Some((version, release)) => (version, Some(release)),
                    None => (version.as_str(), None),
                };
                attributes.extend([("flags", comparison.word()), ("epoch", "0"), ("ver", version)]);
                attributes.extend(release.map(|release| ("rel", release)));
            }
            if *before {
                attributes.push(("pre", "1"));
            }
            empty(xml, "rpm:entry", &attributes)?;
        }
        Ok(())
    })
}

fn file(xml: &mut Xml, path: &PackagedPath) -> io::Result<()> {
    let attributes: Attributes<'_> = if path.directory { &[("type", "dir")] } else { &[] };
    text(xml, "file", attributes, &path.path)
}

fn filelists(packages: &[&DnfPackage]) -> io::Result<Vec<u8>> {
    list("filelists", FILELISTS, packages, |xml, package| {
        package.files.iter().try_for_each(|path| file(xml, path))
    })
}

fn other(packages: &[&DnfPackage]) -> io::Result<Vec<u8>> {
    list("otherdata", OTHER, packages, |_, _| Ok(()))
}

/// A list whose entries begin with the package and its version only.
fn list(
    name: &str,
    namespace: &str,
    packages: &[&DnfPackage],
    fill: impl Fn(&mut Xml, &DnfPackage) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let count = packages.len().to_string();
    document(name, &[("xmlns", namespace), ("packages", &count)], |xml| {
        for package in packages {
            let attributes =
                [("pkgid", &*package.sha256), ("name", &package.name), ("arch", &package.architecture)];
            parent(xml, "package", &attributes, |xml| {
                version(xml, package)?;
                fill(xml, package)
            })?;
        }
        Ok(())
    })
}

fn repomd(date: u64, lists: &[List]) -> io::Result<String> {
    let date = date.to_string();
    let bytes = document("repomd", &[("xmlns", REPO), ("xmlns:rpm", RPM)], |xml| {
        text(xml, "revision", &[], &date)?;
        for List { kind, name, open, closed } in lists {
            parent(xml, "data", &[("type", kind)], |xml| {
                text(xml, "checksum", &[("type", "sha256")], &sha256(closed))?;
                text(xml, "open-checksum", &[("type", "sha256")], &sha256(open))?;
                empty(xml, "location", &[("href", &format!("repodata/{name}"))])?;
                text(xml, "timestamp", &[], &date)?;
                text(xml, "size", &[], &closed.len().to_string())?;
                text(xml, "open-size", &[], &open.len().to_string())
            })?;
        }
        Ok(())
    })?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
