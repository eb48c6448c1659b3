//! Text files of which only a part is wished for.

use std::path::PathBuf;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// A part of a text file; the rest of it is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEdit {
    /// Absolute path.
    pub path: PathBuf,
    /// The part.
    pub edit: Edit,
    /// Whether a file that is not there is content, or made, by what the edit says of an empty one.
    pub may_be_missing: bool,
}

/// How a text is changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Lines at the end, each text where its lines do not stand together anywhere. White space does not
    /// tell lines apart.
    Append(Vec<String>),
    /// The same at the beginning.
    Prepend(Vec<String>),
    /// Every match of a regular expression replaced.
    Replace {
        /// In the syntax of the `regex` crate.
        pattern: String,
        /// What takes its place; `${1}` stands for a group.
        with: String,
        /// At most so many matches; 0 is all.
        most: usize,
        /// A line that is added where nothing matches.
        otherwise: Option<Otherwise>,
    },
}

/// A line for a text in which nothing matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// At its end.
    Append(String),
    /// At its beginning.
    Prepend(String),
}

/// Why a text cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The expression is none.
    #[error("`{pattern}` is no regular expression")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// What the edit makes, it would change again.
    #[error("`{pattern}` matches what takes its place, so the file would be changed each time")]
    Endless {
        /// The expression.
        pattern: String,
    },
}

impl Edit {
    /// The text as it is wished for. Editing that again changes nothing.
    ///
    /// # Errors
    /// When there is no such text.
    pub fn edited(&self, text: &str) -> Result<String, EditError> {
        let once = self.once(text)?;
        match self {
            Self::Replace { pattern, .. } if self.once(&once)? != once => {
                Err(EditError::Endless { pattern: pattern.clone() })
            }
            Self::Replace { .. } | Self::Append(_) | Self::Prepend(_) => Ok(once),
        }
    }

    fn once(&self, text: &str) -> Result<String, EditError> {
        Ok(match self {
            Self::Append(texts) => texts.iter().fold(text.to_owned(), |text, added| appended(&text, added)),
            // The first of them comes out first.
            Self::Prepend(texts) => {
                texts.iter().rev().fold(text.to_owned(), |text, added| prepended(&text, added))
            }
            Self::Replace { pattern, with, most, otherwise } => {
                let wrong =
                    |source| EditError::Pattern { pattern: pattern.clone(), source: Box::new(source) };
                let expression = Regex::new(pattern).map_err(wrong)?;
                match otherwise {
                    Some(Otherwise::Append(line)) if !expression.is_match(text) => appended(text, line),
                    Some(Otherwise::Prepend(line)) if !expression.is_match(text) => prepended(text, line),
                    Some(_) | None => expression.replacen(text, *most, with.as_str()).into_owned(),
                }
            }
        })
    }
}

fn appended(text: &str, added: &str) -> String {
    if holds(text, added) {
        return text.to_owned();
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{}\n", added.trim_end_matches('\n'))
}

fn prepended(text: &str, added: &str) -> String {
    if holds(text, added) {
        return text.to_owned();
    }
    format!("{}\n{text}", added.trim_end_matches('\n'))
}

/// Whether these lines stand together in a text.
fn holds(text: &str, lines: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let sought: Vec<_> = lines.lines().map(words).collect();
    let found: Vec<_> = text.lines().map(words).collect();
    sought.is_empty() || found.windows(sought.len()).any(|window| window == sought)
}

#[cfg(test)]
mod tests {
    use super::{Edit, Otherwise};

    fn check(edit: &Edit, before: &str, after: &str) {
        let edited = edit.edited(before).unwrap();
        assert_eq!(edited, after, "{edit:?}");
        assert_eq!(edit.edited(&edited).unwrap(), after, "{edit:?}, the second time");
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn replace(pattern: &str, with: &str, most: usize, otherwise: Option<Otherwise>) -> Edit {
        Edit::Replace { pattern: pattern.to_owned(), with: with.to_owned(), most, otherwise }
    }

    #[test]
    fn lines_are_added_once() {
        let append = Edit::Append(texts(&["b", "c\nd"]));
        check(&append, "a", "a\nb\nc\nd\n");
        check(&append, "", "b\nc\nd\n");
        check(&append, "  b \nc\nx\nd\n", "  b \nc\nx\nd\nc\nd\n");
        check(&Edit::Prepend(texts(&["b", "c"])), "a\n", "b\nc\na\n");
        check(&Edit::Prepend(texts(&["a"])), "x\na\n", "x\na\n");
        check(&Edit::Append(texts(&["bc"])), "abcd\n", "abcd\nbc\n");
    }

    #[test]
    fn matches_are_replaced_or_a_line_is_added() {
        check(
            &replace("(?m)^port=\\d+$", "port=80", 0, None),
            "port=1\nx\nport=2\n",
            "port=80\nx\nport=80\n",
        );
        check(&replace("(?m)^(a)=\\d$", "${1}=5", 0, None), "a=1\n", "a=5\n");
        let otherwise = || Some(Otherwise::Append("b=1".to_owned()));
        check(&replace("(?m)^b=.*$", "b=1", 0, otherwise()), "a", "a\nb=1\n");
        check(&replace("(?m)^b=.*$", "b=1", 0, otherwise()), "b=2\n", "b=1\n");
        check(&replace("z", "y", 0, Some(Otherwise::Prepend("# y".to_owned()))), "a\n", "# y\na\n");
    }

    #[test]
    fn a_replacement_that_would_go_on_for_ever_is_refused() {
        let endless = replace("a", "aa", 0, None).edited("a").unwrap_err();
        assert!(endless.to_string().contains("changed each time"), "{endless}");
        assert!(replace("a", "b", 1, None).edited("aa").is_err(), "the second run would replace the second");
        assert!(
            replace("(", "b", 0, None).edited("").unwrap_err().to_string().contains("no regular expression")
        );
    }
}
