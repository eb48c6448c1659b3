//! What the conformance tests of Kubernetes run with: programs, and the images that their pods ask for, under the
//! names by which they ask. It goes into a folder of the build root, and into no archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;
use metalk8s_artifacts::{
    digest::sha256,
    layer::Layer,
    layout::{
        Configuration, Descriptor, INDEX_TYPE, ImageManifest, Index, MANIFEST_TYPE, OCI_LAYOUT, Platform,
        assemble,
    },
};
use tar::{Builder, Header};

use crate::{
    components,
    context::Context,
    images::{self, Collected, ImageSpec},
    layers,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task, of the component, and of the folder below the build root.
pub const TASK: &str = "conformance";
/// All images in an OCI layout, as a tar for `ctr images import`.
pub const IMAGES: &str = "images.tar";
/// Which image of ours stands for which of upstream's, relative to the root of the repository.
pub const NAMES: &str = "tests/conformance/images.toml";
/// The tests, and what runs several of them beside each other.
const PROGRAMS: [&str; 2] = ["conformance", "ginkgo"];
/// The annotation by which containerd names an image, whatever it is called with.
const IMAGE_NAME: &str = "io.containerd.image.name";
const RECIPE: &str = include_str!("conformance.rs");

/// The task. `images` are all that `images/` describes.
pub fn task(ctx: &Context, images: &BTreeMap<String, ImageSpec>) -> anyhow::Result<Task> {
    let mut needed = BTreeSet::from([components::task_name(TASK)]);
    for (name, ours) in names(ctx)? {
        let spec = images.get(&ours).with_context(|| {
            format!("`{NAMES}` has `{ours}` for `{name}`, which is no image of `images/`")
        })?;
        needed.insert(images::task_name(&ours));
        needed.extend(spec.layers.iter().map(|layer| layers::task_name(layer)));
    }
    let folder = ctx.build_root.join(TASK);
    let targets = PROGRAMS.into_iter().chain([IMAGES]).map(|name| folder.join(name)).collect();
    let about = "gather what the conformance tests of Kubernetes run with";
    let task = Task::new(TASK, about, Kind::Placed(targets, Box::new(place)));
    Ok(Task {
        tasks: needed.into_iter().collect(),
        files: vec![ctx.root.join(NAMES)],
        facts: vec![RECIPE.to_owned()],
        guess: 10,
        ..task
    })
}

/// Images of ours by the names of upstream's.
fn names(ctx: &Context) -> anyhow::Result<BTreeMap<String, String>> {
    let text =
        fs::read_to_string(ctx.root.join(NAMES)).with_context(|| format!("could not read `{NAMES}`"))?;
    toml::from_str(&text).with_context(|| format!("`{NAMES}` is not valid"))
}

fn place(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let folder = step.out.join(TASK);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("could not empty the folder of the conformance tests")?;
    }
    fs::create_dir_all(&folder).context("could not make the folder of the conformance tests")?;
    let built = step.input(&components::task_name(TASK))?;
    for program in PROGRAMS {
        fs::copy(built.join(program), folder.join(program))
            .with_context(|| format!("could not copy `{program}`"))?;
    }
    let collected = images::collect(step.inputs)?;
    write_images(&names(step.ctx)?, &collected, &folder.join(IMAGES))
        .context("could not write the images")?;
    Ok(Outcome::Done)
}

fn write_images(names: &BTreeMap<String, String>, collected: &Collected, path: &Path) -> anyhow::Result<()> {
    let mut archive = Builder::new(BufWriter::new(File::create(path)?));
    let (mut manifests, mut written) = (Vec::new(), BTreeSet::new());
    for (name, ours) in names {
        let found =
            collected.images.get(ours).with_context(|| format!("the image `{ours}` was not assembled"))?;
        let manifest: ImageManifest = serde_json::from_slice(&read(collected, &found.digest)?)?;
        let config: Configuration = serde_json::from_slice(&read(collected, &manifest.config.digest)?)?;
        for layer in &manifest.layers {
            if written.insert(layer.digest.clone()) {
                append(&mut archive, &blob(&layer.digest), &read(collected, &layer.digest)?)?;
            }
        }
        let layers = manifest.layers.into_iter().zip(config.rootfs.diff_ids);
        let layers: Vec<Layer> = layers
            .map(|(layer, diff_id)| Layer { digest: layer.digest, size: layer.size, diff_id })
            .collect();
        // Two names of one image would be one image for the runtime, which tells a pod's image by either of them.
        let mut process = config.config;
        process.labels.insert(IMAGE_NAME.to_owned(), name.clone());
        let image = assemble(&layers, process);
        append(&mut archive, &format!("blobs/sha256/{}", sha256(&image.config)), &image.config)?;
        append(&mut archive, &blob(&image.digest), &image.manifest)?;
        manifests.push(Descriptor {
            media_type: MANIFEST_TYPE.to_owned(),
            digest: image.digest,
            size: image.manifest.len() as u64,
            annotations: [(IMAGE_NAME.to_owned(), name.clone())].into(),
            platform: Some(Platform { architecture: "amd64".to_owned(), os: "linux".to_owned() }),
        });
    }
    let index = Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests };
    append(&mut archive, "index.json", &serde_json::to_vec(&index)?)?;
    append(&mut archive, "oci-layout", OCI_LAYOUT.as_bytes())?;
    Ok(archive.into_inner()?.flush()?)
}

fn read(collected: &Collected, digest: &str) -> anyhow::Result<Vec<u8>> {
    let path = collected.blobs.get(digest).with_context(|| format!("the blob `{digest}` was not written"))?;
    fs::read(path).with_context(|| format!("could not read the blob `{digest}`"))
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))
}

fn append(archive: &mut Builder<impl Write>, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    Ok(archive.append_data(&mut header, path, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::WrittenImage;

    /// An image of one layer, in files of this folder.
    fn collected(folder: &Path) -> Collected {
        let mut blobs = BTreeMap::new();
        let mut keep = |bytes: &[u8]| {
            let digest = format!("sha256:{}", sha256(bytes));
            let path = folder.join(sha256(bytes));
            fs::write(&path, bytes).unwrap();
            blobs.insert(digest.clone(), path);
            digest
        };
        let digest = keep(b"layer");
        let layer = Layer { digest: digest.clone(), size: 5, diff_id: digest.clone() };
        let image = assemble(&[layer], metalk8s_artifacts::layout::Process::default());
        let config = keep(&image.config);
        let manifest = keep(&image.manifest);
        let written = WrittenImage {
            tag: "1".to_owned(),
            digest: manifest.clone(),
            size: image.manifest.len() as u64,
            blobs: vec![digest, config, manifest],
            layers: Vec::new(),
        };
        Collected { images: [("ours".to_owned(), written)].into(), blobs, packages: BTreeMap::new() }
    }

    #[test]
    fn an_image_with_two_names_becomes_two_that_share_their_layer() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["example.org/a:1", "example.org/b:2"].map(|name| (name.to_owned(), "ours".to_owned()));
        let path = folder.path().join(IMAGES);
        write_images(&names.into(), &collected(folder.path()), &path).unwrap();

        let (mut index, mut blobs) = (None, 0);
        for entry in tar::Archive::new(File::open(&path).unwrap()).entries().unwrap() {
            let entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            blobs += usize::from(name.starts_with("blobs/sha256/"));
            if name == "index.json" {
                index = Some(serde_json::from_reader::<_, Index>(entry).unwrap());
            }
        }
        let manifests = index.unwrap().manifests;
        let named: Vec<&str> = manifests.iter().map(|row| row.annotations[IMAGE_NAME].as_str()).collect();
        assert_eq!(named, ["example.org/a:1", "example.org/b:2"]);
        assert_ne!(manifests[0].digest, manifests[1].digest);
        // One layer, and a configuration and a manifest for each.
        assert_eq!(blobs, 5);
    }
}
