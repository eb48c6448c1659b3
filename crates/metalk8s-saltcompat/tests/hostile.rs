//! Whatever stands in an SLS file, a target or a body of the HTTP API: it is understood, or refused. See
//! fuzz/README.md.

use std::collections::BTreeMap;

use metalk8s_saltcompat::compile;

#[path = "hostile/salt_lowstate.rs"]
mod salt_lowstate;
#[path = "hostile/salt_sls.rs"]
mod salt_sls;
#[path = "hostile/salt_target.rs"]
mod salt_target;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const WORDS: [&str; 20] = [
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n  ",
    "salt://",
    "../",
    "include: ",
    "require: ",
    "names: ",
    "{{",
    "#!jinja\n",
    "'",
    "null",
];
const TARGET_WORDS: [&str; 22] = [
    " and ", " or ", " not ", " ( ", " ) ", "L@", "G@", "E@", "@", "*", "?", "[!", "]", "-", ",", ":", "*:",
    "(?", "|", "{2}", "\u{2003}", "é",
];
const BODY_WORDS: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "\\u0000",
    "[[[[[[[[",
    "&arg=",
    "&kwarg=",
    "%5B",
    "%FF",
    "+",
    "=",
    "wheel",
    "runner_async",
    "local_batch",
    "state.sls",
    "metalk8s.volumes",
    "jobs.lookup_jid",
    "compound",
    "'",
    "\n",
];

fn first_problem(text: String) -> String {
    let roots = BTreeMap::from([("web.sls".to_owned(), text.into_bytes())]);
    let mut problems = compile(&["web".to_owned()], &roots).expect_err("it is too much").problems;
    problems.remove(0).message
}

#[test]
fn any_sls_file_is_compiled_or_refused_with_places() {
    seeded::run("salt_sls", &WORDS, 2500, salt_sls::check);
}

#[test]
fn any_target_means_minions_that_there_are_or_is_refused() {
    seeded::run("salt_target", &TARGET_WORDS, 5_000, salt_target::check);
}

#[test]
fn any_body_is_a_lowstate_or_refused_at_its_first_mistake() {
    seeded::run("salt_lowstate", &BODY_WORDS, 5_000, salt_lowstate::check);
}

/// Sixty levels in a line, and each line holds the one before.
#[test]
fn aliases_make_no_value_deeper_than_it_could_be_written() {
    let (open, close) = ("[".repeat(60), "]".repeat(60));
    let mut text = "a0: &a0 x\n".to_owned();
    for number in 1..55 {
        text += &format!("a{number}: &a{number} {open}*a{}{close}\n", number - 1);
    }
    salt_sls::check(text.as_bytes());
}

/// Each anchor is a copy, and each of these would hold nearly all of the file.
#[test]
fn anchors_within_anchors_take_no_memory_beyond_their_bound() {
    let anchors: String = (0..60).map(|number| format!("&a{number} [")).collect();
    let text = format!("a: {anchors}{}{}\n", "x,".repeat(100_000), "]".repeat(60));
    assert_eq!(first_problem(text), "anchors and aliases repeat too much");
}

/// Each state would come after each: the square of what is written, and with longer lists a minute of comparing.
#[test]
fn requisites_that_multiply_are_refused() {
    let names: String = (0..300).map(|number| format!("n{number},")).collect();
    let text = format!("a: {{cmd.run: [{{names: [{names}]}}, {{require: [{{sls: web}}]}}]}}\n");
    assert_eq!(first_problem(text), "the requisites make more than 50000 pairs of states");
}
