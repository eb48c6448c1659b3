//! Whatever stands in the file of a plan: it is what was agreed upon, or refused. Whatever a machine answers over SSH:
//! it is read, or told in short lines. See fuzz/README.md.

#[path = "hostile/plan_file.rs"]
mod plan_file;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;
#[path = "hostile/ssh_answer.rs"]
mod ssh_answer;

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
const ANSWER_WORDS: [&str; 20] = [
    "{",
    "}",
    "[",
    "\"",
    ",",
    "null",
    "0\n",
    "256\n",
    "KILL\n",
    "\\u0000",
    "\\u001b[2J",
    "\u{1b}[31m",
    "[[[[[[[[",
    "\"findings\": [",
    "\"severity\": \"error\",",
    "\"message\": 1,",
    "\"addresses\": null,",
    "\"local\": ",
    "::1",
    "1e999",
];

#[test]
fn any_plan_is_refused_or_is_exactly_what_was_agreed_upon() {
    seeded::run("plan_file", &WORDS, 10_000, plan_file::check);
}

#[test]
fn any_answer_of_a_machine_is_read_or_told_in_short_lines() {
    seeded::run("ssh_answer", &ANSWER_WORDS, 20_000, ssh_answer::check);
}
