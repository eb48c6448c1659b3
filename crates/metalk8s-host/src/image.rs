//! Images in containerd's namespace of Kubernetes, by containerd's own `ctr` and by `crictl`.

mod layout;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Image, ImageSource},
};

use crate::{
    Host,
    doing::Doing,
    program::{Program, ProgramError},
};

/// The label that keeps the kubelet from deleting an image.
const PINNED: &str = "io.cri-containerd.pinned";
/// A large image on a slow disk.
const DEADLINE: Duration = Duration::from_secs(900);

/// An image that containerd has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    digest: String,
    pinned: bool,
}

pub(crate) async fn check(host: &Host, wish: &Image) -> Result<Option<Change>, StateError> {
    // A runtime that is not there yet has no images; applying will tell if it never comes.
    let found = find(host, wish).await.unwrap_or_else(|err| {
        tracing::debug!(image = %wish.reference, error = %err, "containerd did not list its images");
        None
    });
    let reference = &wish.reference;
    Ok(match found {
        Some(found) if found.digest == wish.digest && found.pinned == wish.pinned => None,
        Some(found) if found.digest == wish.digest => {
            let word = if wish.pinned { "pin" } else { "unpin" };
            Some(Change::new(ChangeKind::Update, format!("{word} image {reference}")))
        }
        Some(found) => Some(Change {
            before: Some(found.digest),
            after: Some(wish.digest.clone()),
            ..Change::new(ChangeKind::Update, format!("{} image {reference}", verb(wish)))
        }),
        None => Some(Change::new(ChangeKind::Create, format!("{} image {reference}", verb(wish)))),
    })
}

pub(crate) async fn apply(host: &Host, wish: &Image) -> Result<(), StateError> {
    let reference = &wish.reference;
    let doing = || format!("could not {} image `{reference}`", verb(wish));
    let mut found = find(host, wish).await.doing(doing).map_err(StateError::retryable)?;
    if found.as_ref().is_none_or(|found| found.digest != wish.digest) {
        match &wish.source {
            ImageSource::Layout(layout) => {
                let layout = host.real(layout)?;
                import(host, layout, wish).await.doing(doing).map_err(StateError::retryable)?;
            }
            ImageSource::Registry => {
                let program = host.program("crictl").args(["pull", reference]).deadline(DEADLINE);
                program.run().await.doing(doing).map_err(StateError::retryable)?;
            }
        }
        found = find(host, wish).await.doing(doing)?;
    }
    match found {
        Some(found) if found.digest == wish.digest => {
            if found.pinned != wish.pinned {
                pin(host, wish).await.doing(|| format!("could not pin image `{reference}`"))?;
            }
            Ok(())
        }
        Some(found) => Err(StateError::new(format!(
            "image `{reference}` is `{}`, but `{}` was asked for",
            found.digest, wish.digest
        ))),
        None => Err(StateError::new(format!("containerd took image `{reference}` but does not list it"))),
    }
}

fn verb(wish: &Image) -> &'static str {
    match wish.source {
        ImageSource::Layout(_) => "import",
        ImageSource::Registry => "pull",
    }
}

fn ctr(host: &Host) -> Program {
    host.program("ctr").args(["--connect-timeout=10s", "--namespace=k8s.io", "images"])
}

async fn find(host: &Host, wish: &Image) -> Result<Option<Found>, ProgramError> {
    let output = ctr(host).args(["list", &format!("name=={}", wish.reference)]).run().await?;
    Ok(output.stdout.lines().find_map(|line| parse(line, &wish.reference)))
}

async fn pin(host: &Host, wish: &Image) -> Result<(), ProgramError> {
    // An empty value takes the label away.
    let value = if wish.pinned { "pinned" } else { "" };
    ctr(host).args(["label", &wish.reference, &format!("{PINNED}={value}")]).run().await?;
    Ok(())
}

/// Streams the image out of the layout into containerd: nothing is written in between.
async fn import(
    host: &Host,
    layout: PathBuf,
    wish: &Image,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let image = Arc::new(layout::read(&layout, &wish.digest)?);
    let (reader, writer) = io::pipe()?;
    let sending = tokio::task::spawn_blocking({
        let (layout, image, reference) = (layout.clone(), Arc::clone(&image), wish.reference.clone());
        move || layout::send(&layout, &image, &reference, writer)
    });
    let program = ctr(host).args(["import", "-"]).input(reader).deadline(DEADLINE);
    let (received, sent) = tokio::join!(program.run(), sending);
    match (received, sent?) {
        // Our own trouble ends the stream, and then containerd's is only that it ended.
        (_, Err(err)) if err.kind() != io::ErrorKind::BrokenPipe => Err(err.into()),
        (Err(err), _) => {
            // containerd checks every byte, but does not say which file they came from.
            tokio::task::spawn_blocking(move || layout::verify(&layout, &image)).await??;
            Err(err.into())
        }
        (Ok(_), _) => Ok(()),
    }
}

/// Reads a line of `ctr images list`: reference, type, digest, size, platforms, labels.
fn parse(line: &str, reference: &str) -> Option<Found> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.first() != Some(&reference) {
        return None;
    }
    let digest = words.get(2).filter(|word| word.starts_with("sha256:"))?;
    let labels = words.last()?;
    let pinned = labels.split(',').any(|label| label == "io.cri-containerd.pinned=pinned");
    Some(Found { digest: (*digest).to_owned(), pinned })
}

#[cfg(test)]
mod tests;
