//! What an archive says about its images, and lists of API servers: `cargo fuzz run gateway_index`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalk8s_gateway::balancer::parse_backends;
use metalk8s_gateway::repositories::read_index;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entries) = read_index(bytes) {
        assert!(
            entries.iter().all(|entry| !entry.image.split('/').any(|part| matches!(part, "" | "." | "..")))
        );
        assert!(entries.iter().all(|entry| !entry.tag.is_empty() && !entry.tag.contains('/')));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(backends) = parse_backends(text)
    {
        assert!(!backends.is_empty());
    }
});
