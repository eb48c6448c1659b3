//! Gathers the bill of materials: Go modules, Debian packages, crates, and the parts that `versions.toml` lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::sbom::{Bill, LICENCES, Package, SBOM, UNKNOWN};
use serde::Deserialize;

use crate::{
    command,
    context::Context,
    images,
    licences::{self, debian::Statements, modules},
    packages::{SHIPPED_FILE, VERSIONS_FILE},
    populate, program,
    task::{Outcome, Step, Task},
    versions::{Part, Versions},
};

/// Name of the task.
pub const TASK: &str = "sbom";
const RECIPE: &str = concat!(
    include_str!("sbom.rs"),
    include_str!("licences.rs"),
    include_str!("licences/debian.rs"),
    include_str!("licences/debian/dep5.rs"),
    include_str!("../../metalk8s-artifacts/src/sbom.rs")
);
/// The folder of the archive that has the book, as `versions.toml` calls it.
const BOOK: &str = "docs/html";
/// So many packages without a licence are named in the warning.
const NAMED: usize = 8;

/// The task. `needed` are the tasks whose results it looks into.
pub fn task(ctx: &Context, needed: Vec<String>) -> Task {
    let task = Task::stored(TASK, "list everything that is inside the archive, with its licence", build);
    let mut facts = vec![RECIPE.to_owned(), ctx.epoch.to_string(), ctx.version().to_owned()];
    facts.extend(
        ctx.versions.parts.iter().map(|(name, row)| format!("{name} {} {row:?}", version_of(&ctx.root, row))),
    );
    Task { tasks: needed, facts, files: vec![ctx.root.join("Cargo.lock")], guess: 10, ..task }
}

fn build(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let (ctx, mut bill) = (step.ctx, Bill::default());
    for (name, version) in populate::shipped(ctx) {
        let component = &ctx.versions.components[name];
        let part = package(&component.source, version, "golang", &component.license);
        let linked = modules::read(step.input(&modules::task_name(name))?)?.into_iter();
        let inside = linked.map(|found| package(&found.path, &found.version, "golang", &found.license));
        bill.parts.entry(part).or_default().extend(inside);
    }
    let part = package(program::PROGRAM, ctx.version(), "cargo", "Apache-2.0");
    bill.parts.insert(part, crates(ctx)?);
    add_parts(&mut bill, &ctx.versions, |row| version_of(&ctx.root, row))?;
    let mut statements = Statements::of_layers(step.input(licences::debian::TASK)?)?;
    for (layer, packages) in images::collect(step.inputs)?.packages {
        if !packages.is_empty() {
            let inside = packages.iter().map(|(name, version)| debian(&mut bill, &statements, name, version));
            let inside = inside.collect();
            collect(
                &mut bill,
                package(&format!("image-layer-{layer}"), ctx.version(), "oci", UNKNOWN),
                inside,
            );
        }
    }
    if let Some(built) = step.inputs.get(populate::PACKAGING) {
        packaged(&mut bill, &mut statements, built)?;
    }
    check(&bill)?;
    let created = populate::timestamp(ctx.epoch);
    let name = Path::new(SBOM).file_name().context("the bill has no name")?;
    fs::write(step.out.join(name), bill.render(&ctx.versions.product.name, ctx.version(), &created))
        .context("could not write the bill of materials")?;
    fs::write(step.out.join(LICENCES), bill.licences()).context("could not write the list of licences")?;
    Ok(match unknown(&bill) {
        Some(words) => Outcome::Warned(words),
        None => Outcome::Done,
    })
}

fn package(name: &str, version: &str, kind: &str, license: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: format!("pkg:{kind}/{name}"),
        license: license.to_owned(),
    }
}

/// Adds a part that only collects others: all their licences hold.
fn collect(bill: &mut Bill, part: Package, inside: BTreeSet<Package>) {
    let license = licences::all_of(inside.iter().map(|package| package.license.as_str()));
    bill.parts.insert(Package { license, ..part }, inside);
}

/// All crates that our program consists of.
fn crates(ctx: &Context) -> anyhow::Result<BTreeSet<Package>> {
    let mut command = Command::new("cargo");
    command.current_dir(&ctx.root).args(["tree", "--offline", "--locked", "--package", "metalk8s-cli"]);
    command.args(["--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"]);
    Ok(parse_crates(&command::text(&mut command)?))
}

fn parse_crates(text: &str) -> BTreeSet<Package> {
    let line = |line: &str| {
        let (name, license) = line.split_once('|')?;
        let mut words = name.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some(package(name, version, "cargo", &licences::of_crate(license)))
    };
    text.lines().filter_map(line).collect()
}

/// Adds what no package manager knows of, to what holds it.
fn add_parts(bill: &mut Bill, versions: &Versions, version: impl Fn(&Part) -> String) -> anyhow::Result<()> {
    let mut of_book = BTreeSet::new();
    for (name, row) in &versions.parts {
        let part = Package {
            name: name.clone(),
            version: version(row),
            purl: row.purl.clone(),
            license: row.license.clone(),
        };
        for holder in &row.inside {
            if holder == BOOK {
                of_book.insert(part.clone());
                continue;
            }
            let known = versions.components.get(holder).map_or(holder, |component| &component.source);
            let (_, inside) = bill
                .parts
                .iter_mut()
                .find(|(holding, _)| holding.name == *known)
                .with_context(|| format!("`{name}` is inside `{holder}`, which is not in the archive"))?;
            inside.insert(part.clone());
        }
    }
    collect(bill, package(BOOK, &versions.product.version, "generic", UNKNOWN), of_book);
    Ok(())
}

/// The version of a part: what the table says, or the first word with a number that its command prints.
fn version_of(root: &Path, row: &Part) -> String {
    let asked = || {
        let (program, args) = row.asked.split_first()?;
        let text = command::text(Command::new(program).args(args).current_dir(root)).ok()?;
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    };
    row.version.clone().or_else(asked).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn debian(bill: &mut Bill, statements: &Statements, name: &str, version: &str) -> Package {
    let license = match statements.text(name, version) {
        Some(text) => {
            let declared = licences::debian::declared(text);
            bill.texts.extend(declared.texts);
            declared.license
        }
        None => UNKNOWN.to_owned(),
    };
    package(name, version, "deb/debian", &license)
}

/// One file of the repositories, as their list has it.
#[derive(Deserialize)]
struct Shipped {
    path: String,
    name: String,
    version: String,
    /// Only of what we built.
    license: Option<String>,
}

/// The packages of both repositories, ours and others'.
fn packaged(bill: &mut Bill, statements: &mut Statements, built: &Path) -> anyhow::Result<()> {
    let repositories: BTreeMap<String, BTreeMap<String, String>> = read(&built.join(VERSIONS_FILE))?;
    let shipped: Vec<Shipped> = read(&built.join(SHIPPED_FILE))?;
    let mut ours = HashMap::new();
    for Shipped { path, name, version, license } in shipped {
        match license {
            Some(license) => drop(ours.insert((name, version), license)),
            None => statements.read(&name, &version, &built.join("packages").join(path))?,
        }
    }
    for (repository, packages) in repositories {
        let kind = if repository.starts_with("debian") { "deb/debian" } else { "rpm/redhat" };
        let part = package(&format!("repository-{}", repository.replace('/', "-")), "1", "generic", UNKNOWN);
        let inside = packages.into_iter().map(|row| match ours.get(&row) {
            Some(license) => package(&row.0, &row.1, kind, license),
            None => debian(bill, statements, &row.0, &row.1),
        });
        let inside = inside.collect();
        collect(bill, part, inside);
    }
    Ok(())
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("could not read `{}`", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not readable", path.display()))
}

/// Refuses what readers of SPDX would refuse.
fn check(bill: &Bill) -> anyhow::Result<()> {
    let mut seen = HashMap::new();
    for package in bill.packages() {
        let Package { name, version, purl, license } = package;
        if license != UNKNOWN && !licences::is_valid(license) {
            bail!("the licence `{license}` of `{name}` is no SPDX expression");
        }
        let quoted = license.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-"));
        if let Some(missing) = quoted.into_iter().find(|id| !bill.texts.contains_key(*id)) {
            bail!("nothing says what `{missing}` of `{name}` means");
        }
        if let Some(other) = seen.insert((purl, version), license) {
            bail!("`{name}` {version} has two licences, `{other}` and `{license}`");
        }
    }
    Ok(())
}

/// How many packages state no licence that is recognised, and the first of them.
fn unknown(bill: &Bill) -> Option<String> {
    let all: Vec<&Package> = bill.packages().into_iter().filter(|package| !package.is_collection()).collect();
    let mut names: Vec<String> = all
        .iter()
        .filter(|package| package.license == UNKNOWN)
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    let count = names.len();
    if count > NAMED {
        names.truncate(NAMED);
        names.push("...".to_owned());
    }
    let names = names.join(", ");
    (count > 0)
        .then(|| format!("{count} of {} packages state no licence that is recognised: {names}", all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(packages: &[(&str, &str)]) -> Bill {
        let inside = packages.iter().map(|(name, license)| package(name, "1", "golang", license)).collect();
        let mut bill = Bill::default();
        collect(&mut bill, package("layer", "1", "oci", UNKNOWN), inside);
        bill
    }

    #[test]
    fn crates_have_their_licence() {
        let found = parse_crates("serde v1.0.1|MIT/Apache-2.0\nx v2.0.0 (/somewhere)|\n");
        let licences: Vec<_> = found.iter().map(|found| found.license.as_str()).collect();
        assert_eq!(licences, ["MIT OR Apache-2.0", "NOASSERTION"]);
    }

    #[test]
    fn a_layer_has_the_licences_of_all_that_is_inside() {
        let part = |bill: &Bill| bill.parts.keys().next().unwrap().license.clone();
        assert_eq!(part(&bill(&[("a", "MIT"), ("b", "ISC OR Zlib"), ("c", "MIT")])), "(ISC OR Zlib) AND MIT");
        assert_eq!(part(&bill(&[("a", "MIT"), ("b", UNKNOWN)])), UNKNOWN);
    }

    fn versions() -> Versions {
        Versions::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
    }

    /// What the table lists as inside of this.
    fn inside<'a>(versions: &'a Versions, holder: &str) -> Vec<&'a str> {
        let rows = versions.parts.iter().filter(|(_, row)| row.inside.iter().any(|name| name == holder));
        rows.map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn every_part_is_in_the_document_and_related_to_what_holds_it() {
        let versions = versions();
        let mut bill = Bill::default();
        let shipped = versions.components.values().filter(|component| component.shipped);
        for source in shipped.map(|component| component.source.as_str()).chain([program::PROGRAM]) {
            bill.parts.insert(package(source, "1", "golang", "MIT"), BTreeSet::new());
        }
        add_parts(&mut bill, &versions, |row| row.version.clone().unwrap_or_else(|| "12.3-asked".to_owned()))
            .unwrap();
        check(&bill).unwrap();
        let rendered = bill.render("MetalK8s", "1", "2026-01-01T00:00:00Z");
        let document: serde_json::Value = serde_json::from_slice(&rendered).unwrap();
        let list = |key: &str| document[key].as_array().unwrap().clone();
        let text = bill.licences();
        assert!(versions.parts.len() >= 10);
        for (name, row) in &versions.parts {
            let version = row.version.as_deref().unwrap_or("12.3-asked");
            let found = list("packages").into_iter().find(|found| found["name"] == name.as_str()).unwrap();
            assert_eq!([&found["versionInfo"], &found["licenseDeclared"]], [version, row.license.as_str()]);
            assert!(text.contains(&format!("{name} {version} {}\n", row.license)), "{text}");
            let related = list("relationships").into_iter().filter(|relation| {
                relation["relationshipType"] == "CONTAINS"
                    && relation["relatedSpdxElement"] == found["SPDXID"]
            });
            assert_eq!(related.count(), row.inside.len(), "{name}");
        }
    }

    #[test]
    fn a_part_inside_of_nothing_that_is_shipped_is_named() {
        let error = add_parts(&mut Bill::default(), &versions(), |_| "1".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "`glibc` is inside `metalk8s`, which is not in the archive");
    }

    #[test]
    fn what_static_programs_are_linked_with_is_listed() {
        let versions = versions();
        assert_eq!(inside(&versions, program::PROGRAM), ["glibc", "libgcc", "rust-std"]);
        let mut count = 0;
        for (name, component) in &versions.components {
            if !(component.shipped && component.cgo && component.static_link) {
                continue;
            }
            count += 1;
            let listed = inside(&versions, name);
            assert!(listed.contains(&"glibc") && listed.contains(&"libgcc"), "{name}: {listed:?}");
            let wanted = component.tags.iter().any(|tag| tag == "seccomp");
            assert_eq!(listed.contains(&"libseccomp"), wanted, "{name}: {listed:?}");
        }
        assert!(count > 0);
    }

    #[test]
    fn a_version_is_told_by_the_table_or_by_a_command() {
        let row = |text: &str| -> Part {
            toml::from_str(&format!("license = \"MIT\"\npurl = \"pkg:x/y\"\ninside = []\n{text}")).unwrap()
        };
        let found = |text: &str| version_of(Path::new("/"), &row(text));
        assert_eq!(found("version = \"1.2\""), "1.2");
        assert_eq!(found("asked = [\"echo\", \"rustc 1.95.0 (59807616e 2026-04-14)\"]"), "1.95.0");
        assert_eq!(found("asked = [\"false\"]"), UNKNOWN);
        assert_eq!(found("asked = [\"/nonexistent\"]"), UNKNOWN);
    }

    #[test]
    fn packages_without_a_licence_are_counted_and_named() {
        assert_eq!(unknown(&bill(&[("a", "MIT")])), None);
        let words = unknown(&bill(&[("a", "MIT"), ("b", UNKNOWN), ("c", UNKNOWN)])).unwrap();
        assert_eq!(words, "2 of 3 packages state no licence that is recognised: b 1, c 1");
    }

    #[test]
    fn a_document_that_readers_would_refuse_is_not_written() {
        assert!(check(&bill(&[("a", "MIT"), ("b", UNKNOWN)])).is_ok());
        let refused = |bill: &Bill| check(bill).unwrap_err().to_string();
        assert!(refused(&bill(&[("a", "see the file")])).contains("no SPDX expression"));
        assert!(refused(&bill(&[("a", "MIT"), ("a", "ISC")])).contains("two licences"));
        let mut quoting = bill(&[("a", "(LicenseRef-x OR MIT) AND ISC")]);
        assert!(refused(&quoting).contains("nothing says what `LicenseRef-x`"));
        quoting.texts.insert("LicenseRef-x".to_owned(), "terms".to_owned());
        assert!(check(&quoting).is_ok());
    }
}
