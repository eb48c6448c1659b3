//! Whatever stands in a journal: it is read as far as it is whole, or refused. See fuzz/README.md.

#[path = "hostile/run_journal.rs"]
mod run_journal;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const WORDS: [&str; 12] = [
    "\n",
    "{",
    "}",
    "\"record\":\"run\"",
    "\"record\":\"changing\",\"state\":\"a\",\"summary\":\"\"",
    "\"schema\":2",
    "\"done\":false",
    "\0\0\0\n",
    "\\ud800",
    "+00:60",
    "[[[[[[[[",
    "null",
];

#[test]
fn any_journal_is_read_as_far_as_it_is_whole() {
    seeded::run("run_journal", &WORDS, 20_000, run_journal::check);
}
