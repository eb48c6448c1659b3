//! Heads of requests as clients may send them: `cargo fuzz run gateway_request`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalk8s_gateway::Limits;
use metalk8s_gateway::http::{Range, decode_path, parse_head, parse_range};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let Ok(Some((request, taken))) = parse_head(bytes, &limits) else { return };
    assert!(taken <= bytes.len());
    assert!(request.raw_path.starts_with('/'));
    if let Ok(path) = decode_path(&request.raw_path) {
        assert!(path.is_empty() || path.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
    }
    for size in [0, 1, 4096, u64::MAX] {
        if let Some(range) = &request.range
            && let Range::Part { start, len } = parse_range(range, size)
        {
            assert!(len > 0 && start < size && len <= size - start);
        }
    }
});
