//! What `salt` says around the answers of a job.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

use serde_json::Value;

use super::Answer;

/// Said where a target means nobody; the status is 2.
pub const NO_MATCH: &str = "No minions matched the target. No command was sent, no jid was assigned.";
/// Said after it on stderr.
pub const NO_RETURN: &str = "ERROR: No return received";
/// Said on stderr where [`is_done`] is not so; the status is 1.
pub const FAILED: &str = "ERROR: Minions returned with non-zero exit code";

/// Whether every minion answered, and with 0.
pub fn is_done<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> bool {
    answers.into_iter().all(|answer| answer.retcode() == 0)
}

/// What `--async` prints instead of answers.
pub fn executed(jid: &str) -> String {
    format!("Executed command with job ID: {jid}\n")
}

/// What is printed before the first answer, with `--verbose` or with `--show-jid`.
pub fn heading(jid: &str, verbose: bool, show_jid: bool) -> String {
    if verbose {
        let line = format!("Executing job with jid {jid}");
        format!("{line}\n{}\n\n", "-".repeat(line.len()))
    } else if show_jid {
        format!("jid: {jid}\n")
    } else {
        String::new()
    }
}

/// What `--summary` prints after the last answer.
pub fn summary(answers: &BTreeMap<String, Answer>, verbose: bool) -> String {
    let names = |is: fn(&Answer) -> bool| -> Vec<&str> {
        answers.iter().filter(|(_, answer)| is(answer)).map(|(id, _)| id.as_str()).collect()
    };
    let returned = names(Answer::is_returned).len();
    let not_connected = names(|answer| matches!(answer, Answer::NotConnected));
    let no_response = names(|answer| matches!(answer, Answer::NoResponse { .. }));
    let failed = names(|answer| answer.is_returned() && answer.retcode() != 0);
    let rule = "-".repeat(43);
    let mut out = format!("\n\n{rule}\nSummary\n{rule}\n");
    let mut count = |what: &str, count: usize| line(&mut out, format_args!("# of minions {what}: {count}"));
    count("targeted", answers.len());
    count("returned", returned);
    count("that did not return", answers.len() - returned);
    count("with errors", failed.len());
    if verbose {
        let groups =
            [("not connected", not_connected), ("not responding", no_response), ("with failures", failed)];
        for (what, names) in groups.into_iter().filter(|(_, names)| !names.is_empty()) {
            line(&mut out, format_args!("Minions {what}: {}", names.join(" ")));
        }
    }
    line(&mut out, rule);
    out
}

/// What `--doc` prints: what the minions say of their functions, each function once.
pub fn docs(answers: &BTreeMap<String, Answer>) -> String {
    let told: Vec<Value> =
        answers.values().filter(|answer| answer.is_returned()).map(Answer::value).collect();
    docs_of(&told)
}

/// The same of what one or several said: maps from functions to texts.
pub fn docs_of<'t>(told: impl IntoIterator<Item = &'t Value>) -> String {
    let docs: BTreeMap<&String, &str> = told
        .into_iter()
        .filter_map(Value::as_object)
        .flatten()
        .filter_map(|(function, doc)| Some((function, doc.as_str()?)))
        .collect();
    docs.into_iter().map(|(function, doc)| format!("{function}:\n{doc}\n\n")).collect()
}

fn line(out: &mut String, text: impl Display) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{docs, docs_of, executed, heading, is_done, summary};
    use crate::{Returned, output::Answer};

    fn answers() -> BTreeMap<String, Answer> {
        [
            ("a", Answer::Returned(Returned::Value(json!({"x.y": "does y", "x.z": "does z"})))),
            ("b", Answer::Returned(Returned::Ended { value: json!({"x.a": "does a"}), retcode: 3 })),
            ("c", Answer::NotConnected),
            ("d", Answer::NoResponse { jid: "1".into() }),
        ]
        .map(|(id, answer)| (id.to_owned(), answer))
        .into()
    }

    #[test]
    fn headings_have_salts_words() {
        assert_eq!(executed("20261125225233123456"), "Executed command with job ID: 20261125225233123456\n");
        assert_eq!(
            heading("20261125225233123456", true, false),
            "Executing job with jid 20261125225233123456\n-------------------------------------------\n\n"
        );
        assert_eq!(heading("1", false, true), "jid: 1\n");
        assert_eq!(heading("1", false, false), "");
    }

    #[test]
    fn the_summary_counts_and_names_with_verbose() {
        let rule = "-------------------------------------------\n";
        let counts = "# of minions targeted: 4\n# of minions returned: 2\n# of minions that did not return: 2\n\
                      # of minions with errors: 1\n";
        let names = "Minions not connected: c\nMinions not responding: d\nMinions with failures: b\n";
        assert_eq!(summary(&answers(), false), format!("\n\n{rule}Summary\n{rule}{counts}{rule}"));
        assert_eq!(summary(&answers(), true), format!("\n\n{rule}Summary\n{rule}{counts}{names}{rule}"));
    }

    #[test]
    fn a_job_is_done_when_all_answered_with_nought() {
        let all = answers();
        assert!(is_done([&all["a"]]));
        for failed in ["b", "c", "d"] {
            assert!(!is_done([&all["a"], &all[failed]]), "{failed}");
        }
    }

    #[test]
    fn docs_are_told_once_and_in_order() {
        assert_eq!(docs_of([&json!({"x.b": "does b"})]), "x.b:\ndoes b\n\n");
        assert_eq!(docs(&answers()), "x.a:\ndoes a\n\nx.y:\ndoes y\n\nx.z:\ndoes z\n\n");
    }
}
