//! Images, described in `images/<name>/image.toml` and assembled by our own code.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::{
    layer::Layer,
    layout::{self, Empty, Process},
};
use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    layers::{self, LayerSpec, Written},
    task::{Outcome, Step, Task},
};

const RECIPE: &str =
    concat!(include_str!("images.rs"), include_str!("../../metalk8s-artifacts/src/layout.rs"));
/// The file that describes an image, beside its blobs.
const RESULT: &str = "image.json";

/// What an image is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// One line.
    pub about: String,
    /// The component whose version is the tag; `metalk8s` for the product's.
    pub version: String,
    /// Whether only tests need it: no archive has it.
    #[serde(default)]
    pub for_tests: bool,
    /// Shared layers, lowest first; none for an image from nothing.
    #[serde(default)]
    pub layers: Vec<String>,
    /// The image's own layer, on top.
    #[serde(default)]
    pub own: LayerSpec,
    /// The program with its fixed arguments.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Arguments that a pod may replace.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Numeric user; empty for root.
    #[serde(default)]
    pub user: String,
    /// Such as `8080/tcp`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// SPDX expression, when it is not the component's.
    pub license: Option<String>,
}

/// A written image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrittenImage {
    /// Its tag.
    pub tag: String,
    /// `sha256:` of its manifest.
    pub digest: String,
    /// Bytes of its manifest.
    pub size: u64,
    /// Blobs in its own folder.
    pub blobs: Vec<String>,
    /// The shared layers it also consists of.
    pub layers: Vec<String>,
}

impl WrittenImage {
    /// Reads the description in a result of the store.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(folder.join(RESULT)).context("an image has no description")?;
        serde_json::from_slice(&bytes).context("an image's description is not readable")
    }
}

/// Name of the task that writes the image `name`.
pub fn task_name(name: &str) -> String {
    format!("images:{name}")
}

/// All images by name.
pub fn read_all(ctx: &Context) -> anyhow::Result<BTreeMap<String, ImageSpec>> {
    let folder = ctx.root.join("images");
    let mut images = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("could not read `{}`", folder.display()))? {
        let entry = entry?;
        let path = entry.path().join("image.toml");
        if path.is_file() {
            let text = fs::read_to_string(&path)?;
            let spec = toml::from_str(&text).with_context(|| format!("`{}` is not valid", path.display()))?;
            images.insert(entry.file_name().to_string_lossy().into_owned(), spec);
        }
    }
    Ok(images)
}

/// The tasks of all images, and what fetches the packages of their own layers.
pub fn tasks(
    ctx: &Context,
    images: &BTreeMap<String, ImageSpec>,
    shared: &BTreeMap<String, LayerSpec>,
) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for (name, spec) in images {
        let failed = || format!("the image `{name}` is not valid");
        if let Some(unknown) = spec.layers.iter().find(|layer| !shared.contains_key(*layer)) {
            bail!("the image `{name}` stands on the layer `{unknown}`, which is not in `images/layers`");
        }
        if !spec.own.packages.is_empty() {
            bail!(
                "the image `{name}` has Debian packages of its own; put them into a layer of `images/layers`"
            );
        }
        let tag = tag(ctx, spec).with_context(failed)?;
        let mut needed: Vec<String> = spec.layers.iter().map(|layer| layers::task_name(layer)).collect();
        needed.extend(layers::needs(ctx, &spec.own).with_context(failed)?);
        let facts = vec![RECIPE.to_owned(), format!("{spec:?}"), tag.clone(), ctx.version().to_owned()];
        let about = format!("assemble the image {name}:{tag}");
        let (owned, owned_name) = (spec.clone(), name.clone());
        let task = Task::stored(task_name(name), about, move |step| write(step, &owned_name, &owned, &tag));
        tasks.push(Task { tasks: needed, facts, guess: 10, ..task });
    }
    Ok(tasks)
}

fn tag(ctx: &Context, spec: &ImageSpec) -> anyhow::Result<String> {
    if spec.version == crate::program::PROGRAM {
        return Ok(ctx.version().to_owned());
    }
    let component = ctx.versions.components.get(&spec.version);
    let component =
        component.with_context(|| format!("versions.toml has no component `{}`", spec.version))?;
    Ok(component.version.clone())
}

fn write(step: &Step<'_>, name: &str, spec: &ImageSpec, tag: &str) -> anyhow::Result<Outcome> {
    let mut all: Vec<Layer> = Vec::new();
    for layer in &spec.layers {
        all.push(Written::read(step.input(&layers::task_name(layer))?)?.layer());
    }
    let mut blobs = Vec::new();
    if !spec.own.is_empty() {
        let own = layers::write(step, &spec.own, None)?;
        blobs.push(own.digest.clone());
        all.push(own.layer());
    }
    let image = layout::assemble(&all, process(step.ctx, name, spec, tag));
    for bytes in [&image.config, &image.manifest] {
        let digest = metalk8s_artifacts::digest::sha256(bytes);
        fs::write(step.out.join(&digest), bytes).context("could not write an image")?;
        blobs.push(format!("sha256:{digest}"));
    }
    let written = WrittenImage {
        tag: tag.to_owned(),
        size: image.manifest.len() as u64,
        digest: image.digest,
        blobs,
        layers: spec.layers.clone(),
    };
    fs::write(step.out.join(RESULT), serde_json::to_vec(&written)?).context("could not describe an image")?;
    Ok(Outcome::Done)
}

fn process(ctx: &Context, name: &str, spec: &ImageSpec, tag: &str) -> Process {
    let component = ctx.versions.components.get(&spec.version);
    let license = spec.license.clone().or_else(|| component.map(|component| component.license.clone()));
    let label = |key: &str, value: &str| (format!("org.opencontainers.image.{key}"), value.to_owned());
    let mut environment = spec.environment.clone();
    environment
        .entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    Process {
        user: spec.user.clone(),
        exposed_ports: spec.ports.iter().map(|port| (port.clone(), Empty {})).collect(),
        env: environment.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        working_dir: "/".to_owned(),
        labels: [
            label("title", name),
            label("description", &spec.about),
            label("version", tag),
            label("licenses", license.as_deref().unwrap_or("Apache-2.0")),
            label("vendor", &ctx.versions.product.name),
        ]
        .into(),
    }
}

/// Everything that the layout of an archive holds.
#[derive(Debug, Default)]
pub struct Collected {
    /// Tag and manifest digest by image name.
    pub images: BTreeMap<String, WrittenImage>,
    /// Where each blob lies, by digest.
    pub blobs: BTreeMap<String, PathBuf>,
    /// Versions of Debian packages by shared layer and name.
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
}

/// Collects the results of all images from a step's inputs.
pub fn collect(inputs: &BTreeMap<String, PathBuf>) -> anyhow::Result<Collected> {
    let mut collected = Collected::default();
    for (task, folder) in inputs {
        if let Some(name) = task.strip_prefix("images:") {
            let image = WrittenImage::read(folder)?;
            for digest in &image.blobs {
                collected.blobs.insert(digest.clone(), folder.join(digest.trim_start_matches("sha256:")));
            }
            collected.images.insert(name.to_owned(), image);
        } else if let Some(name) = task.strip_prefix("_layers:") {
            let layer = Written::read(folder)?;
            collected.blobs.insert(layer.digest.clone(), layer.blob(folder));
            collected.packages.insert(name.to_owned(), layer.packages);
        }
    }
    Ok(collected)
}

/// Writes the OCI layout into `folder`.
pub fn write_layout(collected: &Collected, folder: &Path) -> anyhow::Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).context("could not make the image layout")?;
    let mut index = BTreeMap::new();
    let mut wanted: Vec<&String> = Vec::new();
    for (name, image) in &collected.images {
        index.insert(format!("{name}:{}", image.tag), (image.digest.clone(), image.size));
        wanted.extend(&image.blobs);
    }
    // Layers that no image stands on stay out.
    let manifests = collected.images.values().map(|image| &collected.blobs[&image.digest]);
    let mut layers = Vec::new();
    for path in manifests {
        let manifest: layout::ImageManifest = serde_json::from_slice(&fs::read(path)?)?;
        layers.extend(manifest.layers.into_iter().map(|layer| layer.digest));
    }
    for digest in wanted.into_iter().chain(&layers) {
        let from =
            collected.blobs.get(digest).with_context(|| format!("the blob `{digest}` was not written"))?;
        let to = blobs.join(digest.trim_start_matches("sha256:"));
        if !to.exists() {
            fs::copy(from, &to).with_context(|| format!("could not copy the blob `{digest}`"))?;
        }
    }
    fs::write(folder.join("index.json"), layout::index(&index)).context("could not write the index")?;
    fs::write(folder.join("oci-layout"), layout::OCI_LAYOUT).context("could not write the image layout")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUILD-22.
    #[test]
    fn every_image_is_labelled_starts_something_and_names_ports_that_are_some() {
        let ctx = Context::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
        let images = read_all(&ctx).unwrap();
        assert!(images.len() > 10, "{:?}", images.keys());
        for (name, spec) in images {
            let made = process(&ctx, &name, &spec, &tag(&ctx, &spec).unwrap());
            for label in ["title", "description", "version", "licenses", "vendor"] {
                let value = made.labels.get(&format!("org.opencontainers.image.{label}"));
                assert!(value.is_some_and(|value| !value.is_empty()), "{name}: {label}");
            }
            assert!(!made.entrypoint.is_empty() || !made.cmd.is_empty(), "{name} starts nothing");
            for port in made.exposed_ports.keys() {
                let number = port.strip_suffix("/tcp").or_else(|| port.strip_suffix("/udp"));
                let number = number.and_then(|number| number.parse::<u16>().ok());
                assert!(number.is_some_and(|number| number > 0), "{name}: {port}");
            }
        }
    }
}
