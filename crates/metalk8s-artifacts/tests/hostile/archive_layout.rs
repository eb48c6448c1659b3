//! What is read of an image layout is, written again, the same; and names survive the index that is made of
//! them. Shared with the fuzz target `archive_layout`.

use std::{collections::BTreeMap, fmt::Debug};

use metalk8s_artifacts::layout::{Configuration, ImageManifest, Index, REF_NAME, assemble, index};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) fn check(bytes: &[u8]) {
    read_again::<ImageManifest>(bytes);
    if let Some(configuration) = read_again::<Configuration>(bytes) {
        let image = assemble(&[], configuration.config.clone());
        let assembled: Configuration = serde_json::from_slice(&image.config).expect("what is made is read");
        assert_eq!(assembled.config, configuration.config);
    }
    if let Some(found) = read_again::<Index>(bytes) {
        let images: BTreeMap<_, _> = found
            .manifests
            .iter()
            .filter_map(|image| {
                Some((image.annotations.get(REF_NAME)?.clone(), (image.digest.clone(), image.size)))
            })
            .collect();
        let made: Index = serde_json::from_slice(&index(&images)).expect("what is made is read");
        let names = made.manifests.iter().map(|image| &image.annotations[REF_NAME]);
        assert!(names.eq(images.keys()));
    }
}

fn read_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what is written is read"), value);
    Some(value)
}
