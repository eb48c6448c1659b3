/// The part of a file that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it: no range, one we do not understand, or several, which a server may ignore (RFC 9110, 14.2).
    Whole,
    /// A part, which lies within the file and is not empty.
    Part {
        /// Offset of the first byte.
        start: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Nothing of it lies within the file.
    Unsatisfiable,
}

/// Reads the header `Range` for a file of `size` bytes. Only a single range of bytes is served as such.
pub fn parse_range(header: &str, size: u64) -> Range {
    let Some((unit, spec)) = header.split_once('=') else { return Range::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Range::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Range::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Range::Whole,
        (Some(first), Some(last)) => part(first, last.saturating_add(1).min(size), size),
        (Some(first), None) if last.is_empty() => part(first, size, size),
        (None, Some(suffix)) if first.is_empty() && suffix == 0 => Range::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() => part(size.saturating_sub(suffix), size, size),
        _ => Range::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> Range {
    if start >= size { Range::Unsatisfiable } else { Range::Part { start, len: end - start } }
}

/// Digits only: `parse` alone would accept a sign. A number that is too large means "to the end".
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn single_ranges_are_cut_to_the_file() {
        assert_eq!(parse_range("bytes=0-0", 10), Range::Part { start: 0, len: 1 });
        assert_eq!(parse_range("bytes=3-", 10), Range::Part { start: 3, len: 7 });
        assert_eq!(parse_range("Bytes=3-99", 10), Range::Part { start: 3, len: 7 });
        assert_eq!(parse_range("bytes=-4", 10), Range::Part { start: 6, len: 4 });
        assert_eq!(parse_range("bytes=-40", 10), Range::Part { start: 0, len: 10 });
        assert_eq!(parse_range("bytes=1-99999999999999999999", 10), Range::Part { start: 1, len: 9 });
    }

    #[test]
    fn ranges_outside_the_file_are_unsatisfiable() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(parse_range(header, 10), Range::Unsatisfiable, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=-5", 0), Range::Unsatisfiable);
    }

    #[test]
    fn what_is_not_understood_gives_the_whole_file() {
        for header in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=+1-2"]
        {
            assert_eq!(parse_range(header, 10), Range::Whole, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "bytes=[0-9]{0,22}-[0-9]{0,22}", size in 0u64..100_000) {
            if let Range::Part { start, len } = parse_range(&header, size) {
                prop_assert!(len > 0 && start + len <= size);
            }
        }
    }
}
