/// Why a path is not looked up at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// A `%` without two hexadecimal digits.
    #[error("the path has a `%` that no two hexadecimal digits follow")]
    Escape,
    /// A zero byte or another control character.
    #[error("the path has a control character")]
    Control,
    /// Not UTF-8 once decoded.
    #[error("the path is not UTF-8")]
    Encoding,
    /// A segment `..`.
    #[error("the path has a segment `..`")]
    Parent,
}

/// Decodes and normalises the path of a request: relative, without empty segments and segments `.`.
///
/// Decoding comes first and happens once, so `%2e%2e%2f` is refused like `../`, and `%252e` stays a name with a
/// percent sign. apt asks for `/./Release` of a flat repository, which is why `.` is dropped and not refused;
/// `..` is, since clients resolve it themselves.
pub fn decode_path(raw: &str) -> Result<String, BadPath> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let decoded = if byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2).ok_or(BadPath::Escape)?;
            rest = tail;
            hex_digit(digits[0])? << 4 | hex_digit(digits[1])?
        } else {
            byte
        };
        if decoded < 0x20 || decoded == 0x7f {
            return Err(BadPath::Control);
        }
        bytes.push(decoded);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| BadPath::Encoding)?;
    let mut path = String::with_capacity(decoded.len());
    for segment in decoded.split('/') {
        match segment {
            "" | "." => continue,
            ".." => return Err(BadPath::Parent),
            name => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(name);
            }
        }
    }
    Ok(path)
}

fn hex_digit(byte: u8) -> Result<u8, BadPath> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(BadPath::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_paths_are_made_relative() {
        assert_eq!(decode_path("/a/b%20c/d+e~1.deb").unwrap(), "a/b c/d+e~1.deb");
        assert_eq!(decode_path("/").unwrap(), "");
        assert_eq!(decode_path("//a///./b/").unwrap(), "a/b");
    }

    #[test]
    fn every_spelling_of_the_parent_is_refused() {
        for path in ["/..", "/a/../b", "/%2e%2e/a", "/a%2f..%2Fb", "/.%2e/", "/..//"] {
            assert_eq!(decode_path(path), Err(BadPath::Parent), "{path}");
        }
    }

    #[test]
    fn decoding_happens_once() {
        assert_eq!(decode_path("/%252e%252e/a").unwrap(), "%2e%2e/a");
    }

    #[test]
    fn broken_escapes_zero_bytes_and_foreign_encodings_are_refused() {
        assert_eq!(decode_path("/%"), Err(BadPath::Escape));
        assert_eq!(decode_path("/%4"), Err(BadPath::Escape));
        assert_eq!(decode_path("/%+1"), Err(BadPath::Escape));
        assert_eq!(decode_path("/a%00b"), Err(BadPath::Control));
        assert_eq!(decode_path("/a%0d%0aX:"), Err(BadPath::Control));
        assert_eq!(decode_path("/%ff"), Err(BadPath::Encoding));
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_its_root(raw in "(/|\\.|%2e|%2F|%|a|é|%c3%a9){0,40}") {
            if let Ok(path) = decode_path(&raw) {
                prop_assert!(!path.starts_with('/'));
                prop_assert!(path.is_empty() || path.split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
            }
        }
    }
}
