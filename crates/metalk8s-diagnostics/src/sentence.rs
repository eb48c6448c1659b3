//! An error where there is one line for it: in a log, in a status.

use std::error::Error;

use crate::{Diagnose, code_of};

/// The error with its causes, in one line. What a cause repeats of the line before is left out.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// The same with its code at the end, for a line that people see.
pub fn coded_sentence(error: &(impl Diagnose + 'static)) -> String {
    error.code().unwrap_or_else(|| code_of(error)).at_end_of(sentence(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, explain};

    impl Diagnose for Layer {
        fn code(&self) -> Option<Code> {
            (self.0 == "known").then_some(explain::RUN_UNKNOWN)
        }
    }

    #[test]
    fn a_line_for_people_ends_with_one_code() {
        let coded = |text| coded_sentence(&Layer(text, None));
        assert_eq!(coded("known"), "known (MK1008)");
        assert_eq!(coded("unknown"), "unknown (MK1010)");
        assert_eq!(coded("of a node (MK1501)"), "of a node (MK1501)");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn causes_follow_one_another_and_are_not_repeated() {
        let inner = Layer("refused", None);
        let middle = Layer("could not connect: refused", Some(Box::new(inner)));
        assert_eq!(
            sentence(&Layer("could not ask", Some(Box::new(middle)))),
            "could not ask: could not connect: refused"
        );
    }
}
