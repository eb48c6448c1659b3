//! The same cases as the fuzz targets', without a fuzzer: the seeds of a target, and changes of them that are
//! the same in each run. Included by `tests/hostile.rs` of the crates that are fuzzed.

use std::{fs, panic, path::Path};

/// Changing it changes all cases.
const SEED: u64 = 0x6d65_7461_6c6b_3873;
/// Changes made to one seed for one case.
const MOST_CHANGES: u64 = 6;
/// Numbers at which readers make mistakes.
const NUMBERS: [&str; 8] =
    ["0", "-1", "255", "65536", "4294967296", "9223372036854775808", "18446744073709551616", "1e999"];

/// Runs `check` on each seed of a target as it is, then on `cases` changed ones. `words` are pieces of text that
/// mean something to the reader.
///
/// # Panics
/// With the bytes of the first case that failed, to be kept as a file in the target's folder of seeds.
pub(crate) fn run(target: &str, words: &[&str], cases: u64, check: impl Fn(&[u8]) + panic::RefUnwindSafe) {
    let seeds = seeds(target);
    let mut changes = Changes { state: SEED, seeds: &seeds, words };
    for bytes in &seeds {
        one(target, bytes, &check);
    }
    for _ in 0..cases {
        one(target, &changes.case(), &check);
    }
}

fn one(target: &str, bytes: &[u8], check: &(impl Fn(&[u8]) + panic::RefUnwindSafe)) {
    if panic::catch_unwind(|| check(bytes)).is_err() {
        panic!("`{target}` (seed {SEED:#x}) failed on these bytes: {}", bytes.escape_ascii());
    }
}

/// The files of `fuzz/seeds/<target>`, by name.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("a target has seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a seed can be read")).collect()
}

struct Changes<'a> {
    state: u64,
    seeds: &'a [Vec<u8>],
    words: &'a [&'a str],
}

impl Changes<'_> {
    /// Marsaglia's xorshift64.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        self.random() as usize % end.max(1)
    }

    fn seed(&mut self) -> &[u8] {
        let number = self.below(self.seeds.len());
        &self.seeds[number]
    }

    fn case(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..=self.random() % MOST_CHANGES {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let start = self.below(bytes.len());
        let end = (start + 1 + self.below(16)).min(bytes.len());
        match self.random() % 8 {
            0 if !bytes.is_empty() => bytes[start] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[start] = self.random() as u8,
            2 => bytes.truncate(start),
            3 => drop(bytes.drain(start..end)),
            4 => {
                let piece = bytes[start..end].repeat(1 + self.below(4));
                bytes.splice(start..start, piece);
            }
            5 => {
                let other = self.seed();
                let other_start = start.min(other.len());
                let tail = other[other_start..].to_vec();
                bytes.truncate(start);
                bytes.extend(tail);
            }
            6 if !self.words.is_empty() => {
                let word = self.words[self.below(self.words.len())];
                bytes.splice(start..end, word.bytes());
            }
            _ => self.number(bytes, start),
        }
    }

    /// Puts another number where the next one stands.
    fn number(&mut self, bytes: &mut Vec<u8>, from: usize) {
        let number = NUMBERS[self.below(NUMBERS.len())];
        let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else {
            return;
        };
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        bytes.splice(start..start + digits, number.bytes());
    }
}
