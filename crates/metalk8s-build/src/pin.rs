//! The task that pins Debian's packages to what the mirror has now.

use std::collections::BTreeMap;

use crate::{
    debian::{Apt, lock},
    layers::{LayerSpec, unpack},
    packages::dependencies,
    task::{Kind, Outcome, Step, Task},
};

/// The task; `layers` are those of all images.
pub fn task(layers: &BTreeMap<String, LayerSpec>) -> Task {
    let layers = layers.clone();
    let action = move |step: &Step<'_>| {
        let apt = Apt::open(&step.ctx.cache)?;
        apt.update(step.log)?;
        unpack::resolve_all(&apt, &layers)?.write(&step.ctx.root.join(unpack::LOCK))?;
        let packages = step.ctx.root.join("packages");
        dependencies::resolve_all(&apt, &packages)?.write(&packages.join(dependencies::LOCK))?;
        Ok(Outcome::Done)
    };
    let about = "pin Debian's packages, in images and in the repository, to what the mirror has now";
    Task::new(lock::TASK, about, Kind::Always(Box::new(action)))
}
