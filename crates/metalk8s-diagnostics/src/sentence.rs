//! An error where there is one line for it: in a log, in a status.

use std::error::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

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
