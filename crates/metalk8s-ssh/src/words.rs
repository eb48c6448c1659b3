//! What others said, made fit to be shown.

use std::error::Error as StdError;

/// How much of what a machine says is quoted in an error.
pub(crate) const QUOTED: usize = 400;

/// Foreign bytes as one line: control characters out, lines joined, cut to at most `limit` characters.
pub(crate) fn shown(bytes: &[u8], limit: usize) -> String {
    // A character has at most four bytes; the rest need not be looked at.
    let bytes = &bytes[..bytes.len().min(limit.saturating_mul(4).saturating_add(4))];
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !is_hidden(*c)).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let joined = lines.join("; ");
    match joined.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

/// What the machine said, as the cause of an error.
pub(crate) fn cause(said: &[u8]) -> Box<dyn StdError + Send + Sync> {
    match shown(said, QUOTED) {
        silent if silent.is_empty() => "the machine says nothing more".into(),
        said => format!("the machine says: {said}").into(),
    }
}

/// Control characters, and those that turn the direction of writing.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn escapes_of_terminals_do_not_get_through() {
        assert_eq!(shown(b"\x1b[31mred\x07\r\n\n next\xff", 100), "[31mred; next\u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{9b}c".as_bytes(), 100), "abc");
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(shown("ääää".as_bytes(), 3), "äää…");
        assert_eq!(shown("äää".as_bytes(), 3), "äää");
        assert!(shown(&vec![b'x'; 1 << 20], 10).len() < 20);
    }
}
