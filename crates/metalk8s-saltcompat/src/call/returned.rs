//! What a function returned.

use metalk8s_diagnostics::Paint;
use serde_json::{Map, Value};

use crate::{
    is_success,
    output::{self, Out, OutputError, StateOutput},
};

/// What Salt's commands end with when states failed and the status is passed through.
const STATES_FAILED: u8 = 2;
/// Salt's name of the list of states with a summary.
const HIGHSTATE: &str = "highstate";

/// What a function returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Returned {
    /// Any value.
    Value(Value),
    /// What a command said, which ended with this status.
    Ended {
        /// Any value.
        value: Value,
        /// Its status.
        retcode: u8,
    },
    /// States, each with its result.
    States(Map<String, Value>),
}

impl Returned {
    /// The status that `salt-call --retcode-passthrough` ends with: 0, that of a command, or 2 when states
    /// failed.
    pub fn retcode(&self) -> u8 {
        match self {
            Self::Ended { value: _, retcode } => *retcode,
            Self::Value(_) => 0,
            Self::States(states) if is_success(states) => 0,
            Self::States(_) => STATES_FAILED,
        }
    }

    /// As data.
    pub fn value(&self) -> Value {
        match self {
            Self::Value(value) | Self::Ended { value, retcode: _ } => value.clone(),
            Self::States(states) => states.clone().into(),
        }
    }

    /// Salt's name of the form that is for people, where it is not the usual one.
    pub fn outputter(&self) -> Option<&'static str> {
        match self {
            Self::Value(_) | Self::Ended { .. } => None,
            Self::States(_) => Some(HIGHSTATE),
        }
    }

    /// What [`value`](Self::value), [`retcode`](Self::retcode) and [`outputter`](Self::outputter) told of, once it
    /// was sent or kept.
    pub fn from_parts(value: Value, retcode: u8, outputter: Option<&str>) -> Self {
        match (value, retcode, outputter) {
            (Value::Object(states), _, Some(HIGHSTATE)) => Self::States(states),
            (value, 0, _) => Self::Value(value),
            (value, retcode, _) => Self::Ended { value, retcode },
        }
    }

    /// The same as it is printed, ended by a line break; `id` is `local` for `salt-call`.
    ///
    /// # Errors
    /// When it cannot be written in that form.
    pub fn print(
        &self,
        id: &str,
        out: Out,
        detail: StateOutput,
        paint: Paint,
    ) -> Result<String, OutputError> {
        match self {
            Self::Value(value) | Self::Ended { value, retcode: _ } => output::value(id, value, out, paint),
            Self::States(states) => output::states(id, states, out, detail, paint),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Returned;

    #[test]
    fn what_was_sent_is_what_is_read() {
        let states = json!({"test_|-a_|-a_|-nop": {"result": false}}).as_object().unwrap().clone();
        for returned in [
            Returned::Value(json!({"a": 1})),
            Returned::Ended { value: json!("x"), retcode: 3 },
            Returned::States(states),
        ] {
            let read = Returned::from_parts(returned.value(), returned.retcode(), returned.outputter());
            assert_eq!(read, returned);
        }
    }

    #[test]
    fn a_text_instead_of_states_is_a_text() {
        let read = Returned::from_parts(json!("no such file"), 1, Some("highstate"));
        assert_eq!(read, Returned::Ended { value: json!("no such file"), retcode: 1 });
    }
}
