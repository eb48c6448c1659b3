//! Whatever stands in the file of a plan: it is what was agreed upon, or refused. See fuzz/README.md.

#[path = "hostile/plan_file.rs"]
mod plan_file;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const WORDS: [&str; 18] = [
    "{",
    "}",
    "[",
    "\"",
    ",",
    "null",
    "\n",
    "\\n",
    "\\ud800",
    "[[[[[[[[",
    "\"schema\": 2,",
    "\"nodes\": {},",
    "\"changes\": [],",
    "\"digest\": \"\",",
    "\"kind\": \"unknown\"",
    "\"cut_lines\": 1",
    "\"unchecked\": [],",
    "+00:60",
];

#[test]
fn any_plan_is_refused_or_is_exactly_what_was_agreed_upon() {
    seeded::run("plan_file", &WORDS, 10_000, plan_file::check);
}
