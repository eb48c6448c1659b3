//! Accepted: all that becomes a path or a reference is safe, and written again it is the same. Refused: the
//! message is short and on one line. Shared with the fuzz target `archive_manifest`.

use std::path::{Component, Path};

use metalk8s_artifacts::{Manifest, Product, manifest::SCHEMA};
use metalk8s_types::PRODUCT;

const LONGEST_MESSAGE: usize = 500;

pub(crate) fn check(bytes: &[u8]) {
    match Manifest::parse(bytes) {
        Ok(manifest) => {
            check_manifest(&manifest);
            assert_eq!(Manifest::parse(&manifest.render()).expect("what is rendered is read"), manifest);
        }
        Err(err) => check_message(&err.to_string()),
    }
    match Product::parse(bytes) {
        Ok(product) => {
            assert_eq!(product.name, PRODUCT);
            assert!(is_one_name(&product.version));
            assert_eq!(Product::parse(product.render().as_bytes()), Ok(product));
        }
        Err(err) => check_message(&err.to_string()),
    }
}

fn check_manifest(manifest: &Manifest) {
    let Manifest { schema, name: _, version, components: _, images, packages: _, files } = manifest;
    assert_eq!(*schema, SCHEMA);
    assert!(is_one_name(version));
    for (name, image) in images {
        let digest = image.digest.strip_prefix("sha256:").expect("its algorithm is told");
        assert!(is_one_name(name) && is_one_name(&image.tag) && is_digest(digest), "{name}: {image:?}");
    }
    for (path, file) in files {
        let mut parts = Path::new(path).components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        assert!(!path.is_empty() && !path.ends_with('/') && !path.contains(char::is_control), "{path:?}");
        assert!(is_digest(&file.sha256), "{path}: {file:?}");
    }
}

/// Whether it can be the name of a file, part of an address, and an argument that is no option.
fn is_one_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_+~".contains(c);
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(good)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_message(message: &str) {
    assert!(message.len() < LONGEST_MESSAGE && !message.contains(char::is_control), "{message:?}");
}
