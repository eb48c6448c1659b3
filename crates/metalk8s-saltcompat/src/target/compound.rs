//! Targets with `and`, `or`, `not` and parentheses; `and` binds closer than `or`, `not` closest.

use metalk8s_diagnostics::Problem;

use super::{Means, grain, list, pcre, wrong};
use crate::glob::Glob;

/// How deep parentheses may be nested.
const DEPTH: usize = 32;
/// How many regular expressions may stand in one target; each may need a lot of memory.
const PATTERNS: usize = 16;
const WORDS: &str = "a pattern such as `node-*`, `L@node-1,node-2`, `G@os:Debian` or `E@node-(1|2)`";
const JOINED: &str = "`and` or `or` between two minions, such as `node-1 or node-2`";

enum Word<'t> {
    And,
    Or,
    Not,
    Open,
    Close,
    Minions(&'t str),
}

/// All mistakes in words, or else the first in how they are joined.
pub(super) fn parse(text: &str) -> Result<Means, Vec<Problem>> {
    let words: Vec<Word<'_>> = text.split_whitespace().map(word).collect();
    let is_pattern = |word: &&Word<'_>| matches!(word, Word::Minions(word) if word.starts_with("E@"));
    if let Some(Word::Minions(word)) = words.iter().filter(is_pattern).nth(PATTERNS) {
        let accepted = format!("{PATTERNS} regular expressions; `|` joins several in one");
        return Err(vec![*wrong("there are too many regular expressions", word, &accepted)]);
    }
    let wrong_words: Vec<Problem> = words
        .iter()
        .filter_map(|word| match word {
            Word::Minions(word) => minions(word).err().map(|problem| *problem),
            Word::And | Word::Or | Word::Not | Word::Open | Word::Close => None,
        })
        .collect();
    if !wrong_words.is_empty() {
        return Err(wrong_words);
    }
    let mut parser = Parser { words: &words, at: 0, depth: 0 };
    let means = parser.any().map_err(|problem| vec![*problem])?;
    match parser.words.get(parser.at) {
        None => Ok(means),
        Some(Word::Close) => Err(vec![*wrong("this parenthesis closes nothing", ")", "`(` before it")]),
        Some(word) => Err(vec![*wrong("a word that joins is missing before this one", word.text(), JOINED)]),
    }
}

fn word(text: &str) -> Word<'_> {
    match text {
        "and" => Word::And,
        "or" => Word::Or,
        "not" => Word::Not,
        "(" => Word::Open,
        ")" => Word::Close,
        other => Word::Minions(other),
    }
}

impl Word<'_> {
    fn text(&self) -> &str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Open => "(",
            Self::Close => ")",
            Self::Minions(text) => text,
        }
    }
}

fn minions(word: &str) -> Result<Means, Box<Problem>> {
    match word.split_once('@') {
        Some(("L", names)) => list(names),
        Some(("G", expression)) => grain(expression),
        Some(("E", pattern)) => pcre(pattern),
        Some(_) => Err(wrong("this way to name minions is not known", word, WORDS)),
        None if word.contains(['(', ')']) => Err(wrong(
            "a parenthesis stands by itself, with blanks around it",
            word,
            "`( node-1 or node-2 )`",
        )),
        None => Ok(Means::Glob(Glob::new(word))),
    }
}

struct Parser<'t> {
    words: &'t [Word<'t>],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Means, Box<Problem>> {
        let mut parts = vec![self.all()?];
        while let Some(Word::Or) = self.words.get(self.at) {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(Means::Any(parts))
    }

    /// A `not` after minions means `and not`.
    fn all(&mut self) -> Result<Means, Box<Problem>> {
        let mut parts = vec![self.one()?];
        loop {
            match self.words.get(self.at) {
                Some(Word::And) => self.at += 1,
                Some(Word::Not) => {}
                Some(Word::Or | Word::Open | Word::Close | Word::Minions(_)) | None => {
                    return Ok(Means::All(parts));
                }
            }
            parts.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Means, Box<Problem>> {
        let mut is_not = false;
        while let Some(Word::Not) = self.words.get(self.at) {
            is_not = !is_not;
            self.at += 1;
        }
        let means = self.some()?;
        Ok(if is_not { Means::Not(Box::new(means)) } else { means })
    }

    fn some(&mut self) -> Result<Means, Box<Problem>> {
        let word = self.words.get(self.at);
        self.at += 1;
        match word {
            Some(Word::Minions(word)) => minions(word),
            Some(Word::Open) if self.depth == DEPTH => {
                Err(wrong("parentheses are nested too deep", "(", "at most 32 in one another"))
            }
            Some(Word::Open) => {
                self.depth += 1;
                let means = self.any()?;
                self.depth -= 1;
                match self.words.get(self.at) {
                    Some(Word::Close) => {
                        self.at += 1;
                        Ok(means)
                    }
                    Some(word) => {
                        Err(wrong("a word that joins is missing before this one", word.text(), JOINED))
                    }
                    None => Err(wrong("this parenthesis is not closed", "(", "`)` after it")),
                }
            }
            Some(word) => Err(wrong("minions are missing before this word", word.text(), WORDS)),
            None => match self.words.last() {
                Some(word) => Err(wrong("minions are missing after this word", word.text(), WORDS)),
                None => Err(wrong("this target is empty", "", WORDS)),
            },
        }
    }
}
