//! Read: only names and tags as registries have them, and an index made of what was read says the same; of a list
//! of API servers likewise. Shared with the fuzz target `gateway_index`.

use metalk8s_gateway::{
    balancer::parse_backends,
    repositories::{Digest, IndexEntry, read_index},
};
use serde_json::json;

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(entries) = read_index(bytes) {
        entries.iter().for_each(check_entry);
        let again = read_index(render(&entries).as_bytes()).expect("an index made of images is read");
        assert_eq!(again, entries);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(backends) = parse_backends(text)
    {
        assert!((1..=256).contains(&backends.len()));
        assert!(backends.iter().all(|backend| backend.port() != 0));
        assert!((1..backends.len()).all(|number| !backends[..number].contains(&backends[number])));
        let lines: String = backends.iter().map(|backend| format!("{backend}\n")).collect();
        assert_eq!(parse_backends(&lines).expect("a list made of backends is read"), backends);
    }
}

fn check_entry(entry: &IndexEntry) {
    let IndexEntry { image, tag, digest, media_type: _ } = entry;
    let is_word = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    assert!(
        image.split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(is_word)),
        "{image:?}"
    );
    assert!(!tag.is_empty() && !tag.starts_with('.') && tag.chars().all(is_word), "{tag:?}");
    assert!(image.len() <= 255 && tag.len() <= 128);
    assert_eq!(digest.to_string().parse::<Digest>(), Ok(*digest));
}

fn render(entries: &[IndexEntry]) -> String {
    let descriptor = |entry: &IndexEntry| {
        let name = format!("{}:{}", entry.image, entry.tag);
        json!({
            "mediaType": entry.media_type, "digest": entry.digest.to_string(), "size": 0,
            "annotations": { "org.opencontainers.image.ref.name": name },
        })
    };
    json!({ "manifests": entries.iter().map(descriptor).collect::<Vec<_>>() }).to_string()
}
