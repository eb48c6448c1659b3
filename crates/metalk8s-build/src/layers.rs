//! Layers shared by images, described in `images/layers/<name>.toml`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::layer::{Content, Layer, Node, NodeKind, Tree, write_layer};
use serde::{Deserialize, Serialize};

use crate::{
    components,
    context::Context,
    populate::module_folder,
    program,
    task::{Outcome, Step, Task},
    versions::Component,
};

pub mod unpack;

const RECIPE: &str = concat!(
    include_str!("layers.rs"),
    include_str!("layers/unpack.rs"),
    include_str!("../../metalk8s-artifacts/src/layer.rs")
);
/// A good size for little time: higher levels take much longer for a few percent.
const LEVEL: i32 = 12;
/// The file that describes a written layer, beside its blob.
const RESULT: &str = "layer.json";

/// What a layer holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerSpec {
    /// One line.
    pub about: String,
    /// Whether only tests need it: no archive has it.
    pub for_tests: bool,
    /// Debian packages, unpacked together with all they depend on.
    pub packages: Vec<String>,
    /// The layer below: what it has of Debian packages is left out here.
    pub on: String,
    /// Packages that the others depend on and that an image does not need, because no script of theirs runs.
    pub without: Vec<String>,
    /// When not empty: only these paths of the packages, and what is below them.
    pub keep: Vec<String>,
    /// These paths of the packages, and what is below them, are left out.
    pub drop: Vec<String>,
    /// Programs that we built.
    pub programs: Vec<Programs>,
    /// Files as upstream has them.
    pub sources: Vec<Sources>,
    /// Folders.
    pub folders: Vec<Folder>,
    /// Symbolic links.
    pub links: Vec<Link>,
    /// Programs that are one.
    pub aliases: Vec<Aliases>,
    /// Files.
    pub files: Vec<FileSpec>,
}

/// Programs of one component.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// A row of versions.toml, or `metalk8s`.
    pub component: String,
    /// Which of its programs.
    pub names: Vec<String>,
    /// Where they go.
    pub folder: String,
    /// Octal.
    #[serde(default = "folder_mode")]
    pub mode: String,
}

/// Files of the module that a component is built from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// A row of versions.toml.
    pub component: String,
    /// Their paths in the module.
    pub files: Vec<String>,
    /// Where they go.
    pub folder: String,
    /// Lines with this word are left out.
    pub without: Option<String>,
}

/// A folder with its mode.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Absolute.
    pub path: String,
    /// Octal.
    #[serde(default = "folder_mode")]
    pub mode: String,
    /// Numeric owner and group.
    #[serde(default)]
    pub owner: u64,
}

/// A symbolic link.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Absolute.
    pub path: String,
    /// As it is written.
    pub target: String,
}

/// Names of a program that acts by the name it is called by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aliases {
    /// The program, in the same folder.
    pub target: String,
    /// Absolute.
    pub folder: String,
    /// Each becomes a symbolic link.
    pub names: Vec<String>,
}

/// A small text file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Absolute.
    pub path: String,
    /// Octal.
    #[serde(default = "file_mode")]
    pub mode: String,
    /// Its contents.
    pub text: String,
}

fn folder_mode() -> String {
    "755".to_owned()
}

fn file_mode() -> String {
    "644".to_owned()
}

/// A written layer, with what is inside for the bill of materials.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    /// `sha256:` of the blob.
    pub digest: String,
    /// Bytes of the blob.
    pub size: u64,
    /// `sha256:` of the tar.
    pub diff_id: String,
    /// Versions of Debian packages by name.
    pub packages: BTreeMap<String, String>,
}

impl Written {
    /// Reads what [`write()`] left in a result of the store.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(folder.join(RESULT)).context("a layer has no description")?;
        serde_json::from_slice(&bytes).context("a layer's description is not readable")
    }

    /// The layer alone.
    pub fn layer(&self) -> Layer {
        Layer { digest: self.digest.clone(), size: self.size, diff_id: self.diff_id.clone() }
    }

    /// The blob, in the result of the store.
    pub fn blob(&self, folder: &Path) -> PathBuf {
        folder.join(self.digest.trim_start_matches("sha256:"))
    }
}

/// Name of the task that writes the shared layer `name`.
pub fn task_name(name: &str) -> String {
    format!("_layers:{name}")
}

/// Name of the task that fetches the Debian packages of a layer.
pub fn debian_task_name(name: &str) -> String {
    format!("_debian:{name}")
}

/// All shared layers by name.
pub fn read_all(ctx: &Context) -> anyhow::Result<BTreeMap<String, LayerSpec>> {
    let folder = ctx.root.join("images/layers");
    let mut layers = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("could not read `{}`", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else {
            continue;
        };
        let text = fs::read_to_string(&path)?;
        let spec = toml::from_str(&text).with_context(|| format!("`{}` is not valid", path.display()))?;
        layers.insert(name.to_owned(), spec);
    }
    Ok(layers)
}

/// The tasks of all shared layers.
pub fn tasks(ctx: &Context, layers: &BTreeMap<String, LayerSpec>) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for (name, spec) in layers {
        let mut needed = needs(ctx, spec).with_context(|| format!("the layer `{name}` is not valid"))?;
        if !spec.packages.is_empty() {
            needed.push(debian_task_name(name));
            tasks.push(unpack::fetch_task(ctx, name, spec)?);
        }
        let (name, owned) = (name.clone(), spec.clone());
        let facts = vec![RECIPE.to_owned(), format!("{spec:?}")];
        let about = format!("write the layer {name}: {}", spec.about);
        let task = Task::stored(task_name(&name), about, move |step| {
            let debs = step.inputs.get(&debian_task_name(&name)).map(PathBuf::as_path);
            write(step, &owned, debs)?;
            Ok(Outcome::Done)
        });
        tasks.push(Task { tasks: needed, facts, guess: 25, ..task });
    }
    Ok(tasks)
}

/// The tasks whose programs a layer holds.
pub fn needs(ctx: &Context, spec: &LayerSpec) -> anyhow::Result<Vec<String>> {
    let programs = spec.programs.iter().map(|programs| program_task(ctx, programs));
    programs.chain(spec.sources.iter().map(|sources| source_task(ctx, sources))).collect()
}

fn component<'c>(ctx: &'c Context, name: &str) -> anyhow::Result<&'c Component> {
    let component = ctx.versions.components.get(name);
    component.with_context(|| format!("there is no component `{name}` in versions.toml"))
}

fn program_task(ctx: &Context, programs: &Programs) -> anyhow::Result<String> {
    let name = &programs.component;
    if name == program::PROGRAM {
        return Ok(program::TASK.to_owned());
    }
    let component = component(ctx, name)?;
    match programs.names.iter().find(|name| !component.programs.contains_key(*name)) {
        Some(unknown) => bail!("the component `{name}` has no program `{unknown}`"),
        None => Ok(components::task_name(name)),
    }
}

/// The build of a component brings its module into the cache.
fn source_task(ctx: &Context, sources: &Sources) -> anyhow::Result<String> {
    component(ctx, &sources.component).map(|_| components::task_name(&sources.component))
}

/// Writes a layer and its description into the step's folder. `debs` holds fetched packages.
pub fn write(step: &Step<'_>, spec: &LayerSpec, debs: Option<&Path>) -> anyhow::Result<Written> {
    let mut tree = Tree::default();
    let mut packages = BTreeMap::new();
    if let Some(debs) = debs {
        packages = unpack::unpack(debs, &mut tree)?;
        let below = |path: &str, list: &[String]| {
            list.iter().any(|prefix| {
                let prefix = prefix.trim_matches('/');
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        tree.retain(|path| (spec.keep.is_empty() || below(path, &spec.keep)) && !below(path, &spec.drop));
    }
    add_own(step, spec, &mut tree)?;
    let Layer { digest, size, diff_id } =
        write_layer(&tree, step.out, LEVEL).context("could not write a layer")?;
    let written = Written { digest, size, diff_id, packages };
    fs::write(step.out.join(RESULT), serde_json::to_vec(&written)?).context("could not describe a layer")?;
    Ok(written)
}

fn add_own(step: &Step<'_>, spec: &LayerSpec, tree: &mut Tree) -> anyhow::Result<()> {
    for folder in &spec.folders {
        let node = Node { uid: folder.owner, gid: folder.owner, ..Node::folder(octal(&folder.mode)?) };
        tree.insert(&folder.path, node);
    }
    for file in &spec.files {
        let content = Content::bytes(file.text.clone().into_bytes());
        tree.insert(&file.path, Node::file(octal(&file.mode)?, content));
    }
    for link in &spec.links {
        tree.insert(&link.path, Node { kind: NodeKind::Link(link.target.clone()), ..Node::link("") });
    }
    for aliases in &spec.aliases {
        for name in &aliases.names {
            tree.insert(&format!("{}/{name}", aliases.folder), Node::link(&aliases.target));
        }
    }
    for programs in &spec.programs {
        let built = step.input(&program_task(step.ctx, programs)?)?;
        for name in &programs.names {
            let node = Node::file(octal(&programs.mode)?, Content::Disk(built.join(name)));
            tree.insert(&format!("{}/{name}", programs.folder), node);
        }
    }
    for sources in &spec.sources {
        let folder = step.ctx.root.join("components").join(&sources.component);
        let module = module_folder(step, &folder, &component(step.ctx, &sources.component)?.source)?;
        for path in &sources.files {
            let name = path.rsplit('/').next().unwrap_or(path);
            let content = match &sources.without {
                Some(word) => Content::bytes(without_lines(&module.join(path), word)?),
                None => Content::Disk(module.join(path)),
            };
            tree.insert(&format!("{}/{name}", sources.folder), Node::file(0o644, content));
        }
    }
    Ok(())
}

fn without_lines(path: &Path, word: &str) -> anyhow::Result<Vec<u8>> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read `{}`", path.display()))?;
    Ok(text.split_inclusive('\n').filter(|line| !line.contains(word)).collect::<String>().into_bytes())
}

fn octal(text: &str) -> anyhow::Result<u32> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => bail!("`{text}` is no octal mode"),
    }
}

impl LayerSpec {
    /// Whether such a layer would hold nothing.
    pub fn is_empty(&self) -> bool {
        let Self {
            about: _,
            for_tests: _,
            on: _,
            packages,
            without: _,
            keep: _,
            drop: _,
            programs,
            sources,
            folders,
            links,
            aliases,
            files,
        } = self;
        packages.is_empty()
            && programs.is_empty()
            && sources.is_empty()
            && folders.is_empty()
            && links.is_empty()
            && aliases.is_empty()
            && files.is_empty()
    }
}
