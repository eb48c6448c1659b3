//! Fills the tree that becomes the ISO, and signs its list of files.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::{
    archive::PRODUCT_FILE,
    digest::sha256_of,
    manifest::{FileEntry, ImageEntry, MANIFEST, Manifest, SCHEMA, SIGNATURE},
    product::Product,
    sbom::SBOM,
    signature::PUBLIC_KEY,
};
use walkdir::WalkDir;

use crate::{
    book, command, components,
    context::Context,
    images, keys, program,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task.
pub const TASK: &str = "populate_iso";
const RECIPE: &str = include_str!("populate.rs");
/// Examples for `kubectl apply`. They lie at the root of the archive, where the manual has them (ISO-01).
const MANIFESTS: [&str; 3] = ["new-node.yaml", "new-node_vagrant.yaml", "prometheus-sparse.yaml"];
/// The documented names of one script, which does what its name says (constants.md, section 3).
const FRONT_DOORS: [&str; 3] = ["backup.sh", "bootstrap.sh", "iso-manager.sh"];
/// Where packages come from: the task's name, and the folder of the archive.
pub const PACKAGING: &str = "packaging";

/// The task. `needed` are the tasks whose results it places.
pub fn task(ctx: &Context, needed: Vec<String>) -> anyhow::Result<Task> {
    let key = keys::signing_key(ctx)?;
    let product = product(ctx)?.render();
    let root = ctx.iso_root();
    let targets = [PRODUCT_FILE, MANIFEST, SIGNATURE].map(|name| root.join(name)).to_vec();
    let about = "fill the tree that becomes the ISO";
    let facts = vec![RECIPE.to_owned(), product, key.public_pem()];
    let mut files = Vec::new();
    for folder in ["scripts", "docs", "examples"] {
        files.extend(Some(ctx.root.join(folder)).filter(|folder| folder.is_dir()));
    }
    let task = Task::new(TASK, about, Kind::Placed(targets, Box::new(populate)));
    Ok(Task { tasks: needed, files, facts, guess: 15, ..task })
}

/// What `product.txt` says of this build.
pub fn product(ctx: &Context) -> anyhow::Result<Product> {
    let version = ctx.version().to_owned();
    let host = std::env::var("METALK8S_BUILD_HOST").unwrap_or_else(|_| "metalk8s-build".to_owned());
    Ok(Product {
        name: ctx.versions.product.name.clone(),
        short_version: ctx.versions.short(),
        git: ctx.git.clone(),
        development: version.ends_with("-dev"),
        version,
        timestamp: timestamp(ctx.epoch),
        host,
    })
}

fn populate(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let ctx = step.ctx;
    let root = ctx.iso_root();
    if root.exists() {
        fs::remove_dir_all(&root).context("could not empty the tree of the ISO")?;
    }
    fs::create_dir_all(&root).context("could not make the tree of the ISO")?;
    write(&root.join(PRODUCT_FILE), product(ctx)?.render().as_bytes())?;
    place_scripts(ctx, &root)?;
    place_documents(step, &root)?;
    copy_program(step, &root)?;
    let collected = images::collect(step.inputs)?;
    images::write_layout(&collected, &root.join("images"))?;
    let mut packages = BTreeMap::new();
    if let Some(built) = step.inputs.get(PACKAGING) {
        packages = place_packages(built, &root)?;
    }
    for (task, folder) in step.inputs.iter().filter(|(task, _)| task.starts_with("addons:")) {
        copy_tree(folder, &root.join("addons").join(task.trim_start_matches("addons:")))?;
    }
    if let Some(bill) = step.inputs.get(crate::sbom::TASK) {
        copy_tree(bill, &root.join(Path::new(SBOM).parent().unwrap_or(Path::new("sbom"))))?;
    }
    let key = keys::signing_key(ctx)?;
    write(&root.join(PUBLIC_KEY), key.public_pem().as_bytes())?;
    let images = collected.images.into_iter();
    let manifest = Manifest {
        schema: SCHEMA,
        name: ctx.versions.product.name.clone(),
        version: ctx.version().to_owned(),
        components: shipped(ctx).map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
        images: images
            .map(|(name, image)| (name, ImageEntry { tag: image.tag, digest: image.digest }))
            .collect(),
        packages,
        files: list(&root)?,
    };
    let bytes = manifest.render();
    Manifest::parse(&bytes).context("the archive would have a manifest that cannot be read")?;
    write(&root.join(MANIFEST), &bytes)?;
    write(&root.join(SIGNATURE), key.sign(&bytes).as_bytes())?;
    Ok(Outcome::Done)
}

/// Names and versions of the components inside an archive.
pub fn shipped(ctx: &Context) -> impl Iterator<Item = (&str, &str)> {
    let rows = ctx.versions.components.iter().filter(|(_, component)| component.shipped);
    rows.map(|(name, component)| (name.as_str(), component.version.as_str()))
}

fn place_scripts(ctx: &Context, root: &Path) -> anyhow::Result<()> {
    let script = ctx.root.join("scripts/front-door.sh");
    FRONT_DOORS.iter().try_for_each(|name| copy_file(&script, &root.join(name)))
}

/// Examples, and the book in both forms: as plain text for a terminal, rendered for a browser.
fn place_documents(step: &Step<'_>, root: &Path) -> anyhow::Result<()> {
    place_examples(&step.ctx.root.join("examples"), root)?;
    let (sources, docs) = (step.ctx.root.join(book::SOURCES), root.join("docs"));
    for entry in WalkDir::new(&sources) {
        let entry = entry.context("could not walk the book")?;
        if entry.path().extension().is_some_and(|extension| extension == "md") {
            copy_file(entry.path(), &docs.join(entry.path().strip_prefix(&sources)?))?;
        }
    }
    copy_tree(step.input(book::TASK)?, &docs.join("html"))
}

fn place_examples(examples: &Path, root: &Path) -> anyhow::Result<()> {
    if !examples.is_dir() {
        return Ok(());
    }
    copy_tree(examples, &root.join("examples"))?;
    for name in MANIFESTS {
        let from = root.join("examples").join(name);
        fs::rename(&from, root.join(name)).with_context(|| format!("there is no example `{name}`"))?;
    }
    Ok(())
}

fn copy_program(step: &Step<'_>, root: &Path) -> anyhow::Result<()> {
    let built = step.input(program::TASK)?.join(program::PROGRAM);
    copy_file(&built, &root.join("bin").join(program::PROGRAM))
}

/// Copies the repositories; gives the versions by repository and package.
fn place_packages(built: &Path, root: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
    copy_tree(&built.join("packages"), &root.join("packages"))?;
    let key = built.join("packages.asc");
    if key.is_file() {
        copy_file(&key, &root.join("keys/packages.asc"))?;
    }
    let list = fs::read(built.join("versions.json")).context("the packages have no list of versions")?;
    serde_json::from_slice(&list).context("the list of packages is not readable")
}

/// All files with size and digest; permissions are made alike on the way.
fn list(root: &Path) -> anyhow::Result<BTreeMap<String, FileEntry>> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = entry.context("could not walk the tree of the ISO")?;
        let path = entry.path();
        let name = path.strip_prefix(root)?.to_str().context("a file's name is not UTF-8")?.to_owned();
        let mode = if entry.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            bail!("`{name}` is no regular file, an archive holds nothing else");
        }
        let mut file = fs::File::open(path)?;
        let (size, sha256) =
            sha256_of(&mut file, &mut |_| ()).with_context(|| format!("could not read `{name}`"))?;
        files.insert(name, FileEntry { size, sha256 });
    }
    Ok(files)
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.with_context(|| format!("could not walk `{}`", from.display()))?;
        if entry.file_type().is_file() {
            copy_file(entry.path(), &to.join(entry.path().strip_prefix(from)?))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("could not copy `{}` to `{}`", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(Path::new("/"))).with_context(failed)?;
    fs::copy(from, to).with_context(failed)?;
    // The builder's umask must not reach the archive.
    let executable = fs::metadata(from).with_context(failed)?.permissions().mode() & 0o100 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(failed)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("could not write `{}`", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).with_context(failed)?;
    fs::write(path, bytes).with_context(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o644)).with_context(failed)
}

/// UTC as `product.txt` has it, `2026-11-21T00:00:00Z`.
pub fn timestamp(epoch: u64) -> String {
    let second = i64::try_from(epoch).unwrap_or_default();
    jiff::Timestamp::from_second(second).unwrap_or_default().to_string()
}

/// Where the modules of addons keep their resource definitions.
const UPSTREAM_CRDS: [(&str, &str); 2] =
    [("calico", "libcalico-go/config/crd"), ("metallb", "config/crd/bases")];

/// Files that addons take over from an upstream module.
pub fn addon_tasks(ctx: &Context) -> Vec<Task> {
    UPSTREAM_CRDS.iter().filter_map(|(name, crds)| addon_task(ctx, name, crds)).collect()
}

fn addon_task(ctx: &Context, name: &str, crds: &'static str) -> Option<Task> {
    let source = ctx.versions.components.get(name)?.source.clone();
    let folder = ctx.root.join("components").join(name);
    let facts = vec![source.clone(), RECIPE.to_owned()];
    let action = move |step: &Step<'_>| {
        let module = module_folder(step, &folder, &source)?;
        copy_tree(&module.join(crds), &step.out.join("crds"))?;
        Ok(Outcome::Done)
    };
    let about = format!("take the resource definitions of {name} from its module");
    let task = Task::stored(format!("addons:{name}"), about, action);
    Some(Task { tasks: vec![components::task_name(name)], facts, guess: 5, ..task })
}

/// Where the cache has the module, at the version that `go.mod` in this folder names.
pub fn module_folder(step: &Step<'_>, folder: &Path, module: &str) -> anyhow::Result<PathBuf> {
    let mut command = std::process::Command::new("go");
    command
        .current_dir(folder)
        .args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module])
        .env("GOMODCACHE", step.ctx.cache.join("go/mod"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local");
    let path = command::text(&mut command)?;
    if path.is_empty() {
        bail!("the module `{module}` is not in the cache");
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_manifests_lie_at_the_root_and_other_examples_in_their_folder() {
        let root = tempfile::tempdir().unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        place_examples(&examples, root.path()).unwrap();
        let names = |folder: &Path| -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            names(root.path()),
            ["examples", "new-node.yaml", "new-node_vagrant.yaml", "prometheus-sparse.yaml"]
        );
        assert_eq!(names(&root.path().join("examples")), ["bootstrap.yaml"]);
    }

    #[test]
    fn an_example_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("new-node.yaml"), "").unwrap();
        let root = tempfile::tempdir().unwrap();
        let error = place_examples(folder.path(), root.path()).unwrap_err();
        assert_eq!(error.to_string(), "there is no example `new-node_vagrant.yaml`");
    }
}
