//! Recognises the texts of licences by the pairs of words that follow one another in them.
//!
//! Not the similarity of whole texts, which libraries go by: an Apache licence whose appendix was left out is more
//! alike to a modified one, and of two licences in one file neither is alike to it.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

/// So many of a text's pairs must be there, in hundredths: names and spellings differ.
const ENOUGH: usize = 90;
/// What a missing pair costs against those that are there: a text that says less, but all of that, fits better.
const MISSING: usize = 3;
/// What a pair of another text takes off where a licence is looked for.
const OTHER: i64 = 3;
/// More words beside the licences are terms of their own, or a licence that SPDX does not know.
const BESIDE: usize = 100;
/// Titles are shorter lines.
const TITLE: usize = 8;
/// Behind it, licences tell how to use them.
const END: &str = "END OF TERMS AND CONDITIONS";
/// What stands in for the whole text.
const NOTICES: [(&str, &str); 1] = [(
    "Apache-2.0",
    "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use this file except in \
    compliance with the License. You may obtain a copy of the License at \
    http://www.apache.org/licenses/LICENSE-2.0 Unless required by applicable law or agreed to in writing, software \
    distributed under the License is distributed on an \"AS IS\" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY \
    KIND, either express or implied. See the License for the specific language governing permissions and \
    limitations under the License.",
)];

type Pair = (u32, u32);

/// Knows the texts of all licences on the list of SPDX.
#[derive(Debug, Default)]
pub struct Recogniser {
    words: HashMap<String, u32>,
    texts: Vec<Known>,
    /// The texts that need a pair, and how often.
    needing: HashMap<Pair, Vec<(usize, usize)>>,
}

#[derive(Debug)]
struct Known {
    name: &'static str,
    /// Without title, names and advice.
    needed: HashMap<Pair, usize>,
    total: usize,
    all: HashSet<Pair>,
}

impl Recogniser {
    /// Takes the texts to pieces. Of licences with the same text, such as `GPL-2.0-only` and `GPL-2.0-or-later`, the
    /// first is the one that permits less.
    pub fn new() -> Self {
        let mut recogniser = Self::default();
        let current = |name: &str| spdx::license_id(name).is_some_and(|id| !id.is_deprecated());
        let texts = spdx::text::LICENSE_TEXTS.iter().filter(|(name, _)| current(name));
        for (name, text) in texts.chain(&NOTICES) {
            recogniser.add(name, text);
        }
        recogniser
    }

    fn add(&mut self, name: &'static str, text: &str) {
        let (terms, _) = text.split_once(END).unwrap_or((text, ""));
        let mut lines = terms.lines().skip_while(|line| words(line).count() < TITLE).peekable();
        let terms =
            if lines.peek().is_some() { lines.collect::<Vec<_>>().join("\n") } else { terms.to_owned() };
        let needed = count(&self.learn(&terms));
        let all = self.learn(text);
        let all = all.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for (pair, times) in &needed {
            self.needing.entry(*pair).or_default().push((self.texts.len(), *times));
        }
        self.texts.push(Known { name, total: needed.values().sum(), needed, all });
    }

    fn learn(&mut self, text: &str) -> Vec<u32> {
        let mut numbers = Vec::new();
        for word in words(text) {
            let next = self.words.len() as u32;
            numbers.push(*self.words.entry(word).or_insert(next));
        }
        numbers
    }

    /// The licences whose texts follow one another in `text`; none when much else is there.
    pub fn licences(&self, text: &str) -> BTreeSet<&'static str> {
        let number = |word| self.words.get(&word).copied().unwrap_or(u32::MAX);
        let mut rest: Vec<u32> = words(text).map(number).collect();
        let mut found = BTreeSet::new();
        while let Some((name, place)) = self.best(&rest) {
            found.insert(name);
            rest.drain(place);
        }
        if rest.len() > BESIDE {
            found.clear();
        }
        found
    }

    /// The text that explains the most, and the words that it explains.
    fn best(&self, text: &[u32]) -> Option<(&'static str, Range<usize>)> {
        let mut present = HashMap::<usize, usize>::new();
        for (pair, times) in count(text) {
            for (known, needed) in self.needing.get(&pair).into_iter().flatten() {
                *present.entry(*known).or_default() += times.min(*needed);
            }
        }
        let fits = present.into_iter().filter_map(|(index, present)| {
            let known = &self.texts[index];
            if !known.is_enough(present) {
                return None;
            }
            let place = known.place(text);
            let there = count(&text[place.clone()]);
            let present: usize =
                known.needed.iter().map(|(pair, times)| there.get(pair).unwrap_or(&0).min(times)).sum();
            let worth = present.saturating_sub(MISSING * (known.total - present));
            known.is_enough(present).then_some((worth, Reverse(index), place))
        });
        let (_, Reverse(index), place) = fits.max_by_key(|(worth, index, _)| (*worth, *index))?;
        Some((self.texts[index].name, place))
    }
}

impl Known {
    fn is_enough(&self, present: usize) -> bool {
        self.total > 0 && present * 100 >= self.total * ENOUGH
    }

    /// Where in `text` this one is: the stretch in which its pairs outnumber others the most. Others count more, or
    /// it would take the end of a neighbour that ends in like words.
    fn place(&self, text: &[u32]) -> Range<usize> {
        let (mut best, mut sum, mut from) = ((0, 0..0), 0_i64, 0);
        for (at, pair) in text.windows(2).enumerate() {
            if sum <= 0 {
                (sum, from) = (0, at);
            }
            sum += if self.all.contains(&(pair[0], pair[1])) { 1 } else { -OTHER };
            if sum > best.0 {
                best = (sum, from..at + 2);
            }
        }
        best.1
    }
}

fn count(numbers: &[u32]) -> HashMap<Pair, usize> {
    let mut counted = HashMap::new();
    for pair in numbers.windows(2) {
        *counted.entry((pair[0], pair[1])).or_default() += 1;
    }
    counted
}

/// In lower case, without signs and without lines that only say whose the copyright is.
fn words(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !is_copyright(line));
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_copyright(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let whose = line.strip_prefix("copyright").map(str::trim_start);
    whose.is_some_and(|whose| whose.starts_with(|c: char| c.is_ascii_digit() || "(©<[".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_licences_are_recognised_and_not_taken_for_those_alike() {
        let recogniser = Recogniser::new();
        let text = |name: &str| spdx::license_id(name).unwrap().text();
        for name in
            ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "CC0-1.0", "GPL-2.0-only"]
        {
            assert_eq!(recogniser.licences(text(name)), BTreeSet::from([name]));
        }
        for name in
            ["GPL-3.0-only", "ISC", "LGPL-2.1-only", "MIT", "MIT-0", "MPL-2.0", "Pixar", "Unlicense", "Zlib"]
        {
            assert_eq!(recogniser.licences(text(name)), BTreeSet::from([name]));
        }
        assert_eq!(recogniser.licences(text("GPL-2.0-or-later")), BTreeSet::from(["GPL-2.0-only"]));
    }

    #[test]
    fn an_apache_licence_without_its_appendix_is_one() {
        let text = spdx::license_id("Apache-2.0").unwrap().text();
        let (terms, appendix) = text.split_once(END).unwrap();
        let recogniser = Recogniser::new();
        assert_eq!(recogniser.licences(terms), BTreeSet::from(["Apache-2.0"]));
        let (_, notice) = appendix.split_once("[name of copyright owner]").unwrap();
        assert_eq!(recogniser.licences(notice), BTreeSet::from(["Apache-2.0"]));
    }

    #[test]
    fn a_line_of_ownership_is_none_of_terms() {
        for line in ["Copyright (c) 2020 X", "  copyright 2020", "Copyright © X", "Copyright <year> <owner>"]
        {
            assert!(is_copyright(line), "{line}");
        }
        assert!(!is_copyright("copyright notice and this permission notice appear in all copies."));
    }
}
