//! Questions.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use metalk8s_diagnostics::{Diagnosed, explain};

/// Whether a person agrees. `yes` answers for whoever is not asked.
///
/// # Errors
/// When there is nobody to ask.
pub(super) fn confirm(question: &str, yes: bool) -> Result<bool, Diagnosed> {
    if yes {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        let error = "nobody can be asked here, because stdin is no terminal";
        return Err(Diagnosed::with_code(explain::WRONG_USAGE, error)
            .hint("`--yes` answers the question, for whoever knows what is done".to_owned()));
    }
    let mut err = stderr();
    let mut answer = String::new();
    let asked = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let read = asked.and_then(|()| stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("n\n", false), ("yess\n", false), ("", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
