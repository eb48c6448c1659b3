//! What several minions answered, as `salt` prints it.

use std::collections::BTreeMap;

use metalk8s_diagnostics::Paint;
use serde_json::{Map, Value};

use super::{Indent, Out, OutputError, StateOutput, document, value};
use crate::Returned;

/// What a minion answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What the function returned.
    Returned(Returned),
    /// Nothing, because it is not there.
    NotConnected,
    /// Nothing in time.
    NoResponse {
        /// The job, whose return can be looked up later.
        jid: String,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// Form of the result.
    pub out: Out,
    /// How much is printed of each state.
    pub detail: StateOutput,
    /// Indentation of JSON and YAML.
    pub indent: Indent,
    /// Colours.
    pub paint: Paint,
}

impl Answer {
    /// The status of its function; 1 where there is no answer.
    pub fn retcode(&self) -> u8 {
        match self {
            Self::Returned(returned) => returned.retcode(),
            Self::NotConnected | Self::NoResponse { .. } => 1,
        }
    }

    /// Whether it answered at all.
    pub fn is_returned(&self) -> bool {
        matches!(self, Self::Returned(_))
    }

    /// As data.
    pub fn value(&self) -> Value {
        match self {
            Self::Returned(returned) => returned.value(),
            Self::NotConnected => "Minion did not return. [Not connected]".into(),
            Self::NoResponse { jid } => no_response(jid).into(),
        }
    }
}

fn no_response(jid: &str) -> String {
    format!(
        "Minion did not return. [No response]\nThe minions may not have all finished running and any \
         remaining minions will return upon completion. To look up the return data for this job later, run \
         the following command:\n\nsalt-run jobs.lookup_jid {jid}"
    )
}

/// Prints the answer of one minion, ended by a line break: a document by itself where the form is data.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn answer(id: &str, answer: &Answer, form: &Form) -> Result<String, OutputError> {
    let Form { out, detail, indent, paint } = *form;
    match (answer, out) {
        (_, Out::Json | Out::Yaml | Out::Raw) => document(&one(id, answer), out, indent),
        (Answer::Returned(returned), _) => returned.print(id, out, detail, paint),
        (_, Out::Nested | Out::Highstate) => Ok(missing(id, &answer.value(), paint)),
        (_, Out::Txt | Out::NewlineValuesOnly | Out::Quiet) => value(id, &answer.value(), out, paint),
    }
}

/// Prints the answers of all minions (`--static`): one document where the form is data.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn together(answers: &BTreeMap<String, Answer>, form: &Form) -> Result<String, OutputError> {
    match form.out {
        Out::Json | Out::Yaml | Out::Raw => {
            let all = answers.iter().map(|(id, answer)| (id.clone(), answer.value()));
            document(&all.collect::<Map<_, _>>().into(), form.out, form.indent)
        }
        Out::Nested | Out::Highstate | Out::Txt | Out::NewlineValuesOnly | Out::Quiet => {
            answers.iter().map(|(id, one)| answer(id, one, form)).collect()
        }
    }
}

fn one(id: &str, answer: &Answer) -> Value {
    Map::from_iter([(id.to_owned(), answer.value())]).into()
}

/// The lines of a text that is no answer are red, as an error is.
fn missing(id: &str, text: &Value, paint: Paint) -> String {
    let mut out = format!("{}:\n", paint.cyan(id));
    for line in text.as_str().unwrap_or_default().split('\n') {
        out.push_str(&paint.red(&format!("    {line}")));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use metalk8s_diagnostics::Paint;
    use serde_json::json;

    use super::{Answer, Form, answer, together};
    use crate::{
        Returned,
        output::{Indent, Out},
    };

    const JID: &str = "20261125225233123456";

    fn form(out: &str) -> Form {
        Form { out: out.parse().unwrap(), ..Form::default() }
    }

    fn no_response() -> Answer {
        Answer::NoResponse { jid: JID.into() }
    }

    fn printed(one: &Answer, out: &str) -> String {
        answer("node-9", one, &form(out)).unwrap()
    }

    #[test]
    fn no_response_is_printed_as_salt_prints_it() {
        let nested = "node-9:\n    Minion did not return. [No response]\n    The minions may not have all \
                      finished running and any remaining minions will return upon completion. To look up the \
                      return data for this job later, run the following command:\n    \n    salt-run \
                      jobs.lookup_jid 20261125225233123456\n";
        assert_eq!(printed(&no_response(), "nested"), nested);
        assert_eq!(printed(&no_response(), "highstate"), nested);
        let txt = printed(&no_response(), "txt");
        assert!(
            txt.starts_with("node-9: Minion did not return. [No response]\nnode-9: The minions"),
            "{txt}"
        );
        assert!(txt.ends_with("command:\nnode-9: \nnode-9: salt-run jobs.lookup_jid 20261125225233123456\n"));
        assert!(printed(&no_response(), "json").starts_with(
            "{\n    \"node-9\": \"Minion did not return. [No response]\\nThe minions may not have"
        ));
        assert!(
            printed(&no_response(), "raw").starts_with("{'node-9': 'Minion did not return. [No response]\\n")
        );
        assert_eq!(printed(&no_response(), "quiet"), "");
        assert_eq!(
            printed(&Answer::NotConnected, "nested"),
            "node-9:\n    Minion did not return. [Not connected]\n"
        );
    }

    #[test]
    fn no_answer_is_red_on_a_terminal() {
        let form = Form { paint: Paint::new(true), ..Form::default() };
        assert_eq!(
            answer("node-9", &Answer::NotConnected, &form).unwrap(),
            "\u{1b}[36mnode-9\u{1b}[0m:\n\u{1b}[31m    Minion did not return. [Not connected]\u{1b}[0m\n"
        );
    }

    #[test]
    fn data_are_a_document_of_each_minion_or_one_of_all() {
        let answers = BTreeMap::from([
            ("node-1".to_owned(), Answer::Returned(Returned::Value(json!({"a": [1, true]})))),
            ("node-2".to_owned(), Answer::Returned(Returned::Value(json!("x")))),
        ]);
        let all = |form: &Form| together(&answers, form).unwrap();
        let line = Form { out: Out::Json, indent: Indent::Line, ..Form::default() };
        assert_eq!(all(&line), "{\"node-1\": {\"a\": [1, true]}, \"node-2\": \"x\"}\n");
        assert_eq!(answer("node-2", &answers["node-2"], &line).unwrap(), "{\"node-2\": \"x\"}\n");
        assert_eq!(all(&form("yaml")), "node-1:\n  a:\n  - 1\n  - true\nnode-2: x\n");
        assert_eq!(all(&form("raw")), "{'node-1': {'a': [1, True]}, 'node-2': 'x'}\n");
        assert_eq!(all(&form("txt")), "node-1: {'a': [1, True]}\nnode-2: x\n");
        assert_eq!(
            all(&form("nested")),
            "node-1:\n    ----------\n    a:\n        - 1\n        - True\nnode-2:\n    x\n"
        );
    }

    #[test]
    fn json_is_indented_as_wished() {
        let value = Answer::Returned(Returned::Value(json!({"a": [1, {"b": 2}], "e": {}, "l": []})));
        let printed = |indent: i64| {
            let form = Form { out: Out::Json, indent: Indent::from(indent), ..Form::default() };
            answer("n", &value, &form).unwrap()
        };
        assert_eq!(printed(-1), "{\"n\": {\"a\": [1, {\"b\": 2}], \"e\": {}, \"l\": []}}\n");
        assert_eq!(
            printed(0),
            "{\n\"n\": {\n\"a\": [\n1,\n{\n\"b\": 2\n}\n],\n\"e\": {},\n\"l\": []\n}\n}\n"
        );
        assert!(printed(2).starts_with("{\n  \"n\": {\n    \"a\": [\n      1,\n      {\n"));
    }

    #[test]
    fn who_does_not_answer_failed() {
        assert_eq!(no_response().retcode(), 1);
        assert_eq!(Answer::NotConnected.retcode(), 1);
        assert_eq!(Answer::Returned(Returned::Value(json!(false))).retcode(), 0);
        assert_eq!(Answer::Returned(Returned::Ended { value: json!(""), retcode: 7 }).retcode(), 7);
    }
}
