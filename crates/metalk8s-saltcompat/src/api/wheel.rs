//! What is asked about keys, in the words of `wheel`.

use serde_json::{Map, Value, json};

use super::{ALL_KEYS, FINGER};
use crate::{
    keys::{KeyStatus, Keys, Listed},
    parse_words,
};

/// What is asked about keys. Patterns are of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysCall {
    /// All names, and the keys of the master itself, of which there is none.
    All,
    /// Names by the state of their keys.
    List(Listed),
    /// Keys that wait may take jobs from now on. None ever waits: a key is accepted when its node is deployed.
    Accept(String),
    /// These nodes leave.
    Delete(String),
    /// Fingerprints. Certificates come and go while the name stays, so there is no text.
    Finger(String),
}

impl KeysCall {
    pub(super) fn new(function: &str, words: &[String]) -> Result<Self, String> {
        let words = parse_words(words);
        if let Some(word) = words.superfluous(1, &["match"]).first() {
            return Err(format!("`{function}` does not take {word}"));
        }
        let pattern = words.positional.first().or(words.named.get("match")).map(|pattern| match pattern {
            Value::String(text) => text.clone(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        });
        let pattern = || pattern.filter(|text| !text.is_empty()).ok_or("`match` is missing");
        Ok(match function {
            ALL_KEYS => Self::All,
            "key.list" => Self::List(pattern()?.parse()?),
            "key.accept" => Self::Accept(pattern()?),
            "key.delete" => Self::Delete(pattern()?),
            FINGER => Self::Finger(pattern()?),
            other => {
                let known = [ALL_KEYS, "key.list", "key.accept", "key.delete", FINGER];
                return Err(format!("`{other}` is none of {}", known.join(", ")));
            }
        })
    }

    /// Salt's name of the function.
    pub fn function(&self) -> &'static str {
        match self {
            Self::All => ALL_KEYS,
            Self::List(_) => "key.list",
            Self::Accept(_) => "key.accept",
            Self::Delete(_) => "key.delete",
            Self::Finger(_) => FINGER,
        }
    }

    /// What it returns, where these are the keys.
    pub fn told(&self, keys: &Keys) -> Value {
        match self {
            Self::All => {
                let mut all = Map::from_iter([("local".to_owned(), json!([]))]);
                all.extend(by_field(keys, |_| true));
                all.into()
            }
            Self::List(Listed::All) => by_field(keys, |_| true).collect::<Map<_, _>>().into(),
            Self::List(Listed::Only(only)) => {
                by_field(keys, |status| status == *only).collect::<Map<_, _>>().into()
            }
            Self::Accept(_) | Self::Delete(_) => json!({}),
            Self::Finger(pattern) => {
                let names = keys.matching(pattern).accepted;
                if names.is_empty() {
                    return json!({});
                }
                let fingers: Map<String, Value> = names.into_iter().map(|name| (name, "".into())).collect();
                json!({ KeyStatus::Accepted.field(): fingers })
            }
        }
    }
}

fn by_field(keys: &Keys, is: impl Fn(KeyStatus) -> bool) -> impl Iterator<Item = (String, Value)> {
    let parts = keys.by_status().into_iter().filter(move |(status, _)| is(*status));
    parts.map(|(status, names)| (status.field().to_owned(), json!(names)))
}

/// What a function of keys returned, in the envelope that clients read.
pub fn wheel_answer(jid: &str, call: &KeysCall, user: &str, returned: &Value) -> Value {
    let (tag, function) = (format!("salt/wheel/{jid}"), format!("wheel.{}", call.function()));
    json!({
        "tag": tag,
        "data": {"fun": function, "jid": jid, "tag": tag, "user": user, "return": returned, "success": true},
    })
}
