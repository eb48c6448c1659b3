//! Texts that strangers sent, where people read them.

/// A foreign text in one line: control characters are shown as escapes, and what comes after `longest` characters is
/// left out.
pub fn shortened(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == longest {
            shown.push_str(" ...");
            break;
        }
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_is_one_short_line() {
        assert_eq!(shortened("node-1", 6), "node-1");
        assert_eq!(shortened("a\nb\u{1b}[31m", 20), "a\\nb\\u{1b}[31m");
        assert_eq!(shortened(&"\n".repeat(5000), 2), "\\n\\n ...");
    }
}
