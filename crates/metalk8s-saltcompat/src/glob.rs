//! Patterns of names as Salt reads them: `*`, `?`, `[abc]`, `[a-z]` and `[!abc]`; nothing is escaped.

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Any characters, or none.
    Many,
    /// One character, whatever it is.
    One,
    This(char),
    /// One character in one of these ranges, or in none of them.
    Among {
        ranges: Vec<(char, char)>,
        is_in: bool,
    },
}

impl Glob {
    /// Reads a pattern; every text is one. A bracket that is not closed stands for itself.
    pub fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            pieces.push(match character {
                '*' => Piece::Many,
                '?' => Piece::One,
                '[' => match among(rest) {
                    Some((piece, after)) => {
                        rest = after;
                        piece
                    }
                    None => Piece::This('['),
                },
                other => Piece::This(other),
            });
        }
        Self { pieces }
    }

    /// Whether the whole name is as the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut piece) = (0, 0);
        // Where the last `*` stands and how far it reaches; a longer reach is tried when the rest does not fit.
        let mut many: Option<(usize, usize)> = None;
        loop {
            match self.pieces.get(piece) {
                Some(Piece::Many) => {
                    many = Some((piece, at));
                    piece += 1;
                    continue;
                }
                Some(this) if name.get(at).is_some_and(|character| this.is(*character)) => {
                    at += 1;
                    piece += 1;
                    continue;
                }
                None if at == name.len() => return true,
                Some(_) | None => {}
            }
            match many {
                Some((star, reach)) if reach < name.len() => {
                    many = Some((star, reach + 1));
                    at = reach + 1;
                    piece = star + 1;
                }
                Some(_) | None => return false,
            }
        }
    }
}

impl Piece {
    fn is(&self, character: char) -> bool {
        match self {
            Self::Many | Self::One => true,
            Self::This(this) => *this == character,
            Self::Among { ranges, is_in } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&character)) == *is_in
            }
        }
    }
}

/// What stands after a `[`, and what follows its `]`. A `]` that comes first is one of the characters.
fn among(rest: &str) -> Option<(Piece, &str)> {
    let (is_in, rest) = match rest.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let first = usize::from(rest.starts_with(']'));
    let end = first + rest[first..].find(']')?;
    let within: Vec<char> = rest[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(from) = within.get(at) {
        let (to, length) = match within.get(at + 1..at + 3) {
            Some(&['-', to]) => (to, 3),
            Some(_) | None => (*from, 1),
        };
        ranges.push((*from, to));
        at += length;
    }
    Some((Piece::Among { ranges, is_in }, &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_mean_what_they_mean_to_salt() {
        for (pattern, name, expect) in [
            ("*", "node-1", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("node-?", "node-1", true),
            ("node-?", "node-12", false),
            ("?", "é", true),
            ("node-[12]", "node-2", true),
            ("node-[!12]", "node-2", false),
            ("[!a]b", "cb", true),
            ("[^a]b", "^b", true),
            ("[]a]x", "]x", true),
            ("[!]a]x", "bx", true),
            ("[!]a]x", "]x", false),
            ("[a-c]1", "b1", true),
            ("[c-a]1", "b1", false),
            ("[!c-a]", "b", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a-c-e]", "d", false),
            ("[a-c-e]", "-", true),
            ("[a", "[a", true),
            ("[!]", "[!]", true),
            ("[]", "[]", true),
            ("[[]", "[", true),
            ("[a\\]", "\\", true),
            ("\\*", "\\x", true),
            ("a**b", "axxb", true),
            ("*-*-1", "a-b-c-1", true),
            ("*-1", "node-10", false),
            ("N*", "n1", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_long_time() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(4_000)));
    }
}
