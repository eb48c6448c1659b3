//! Mistakes of the configuration, as problems that a program prints.

use std::path::Path;

use metalk8s_diagnostics::{Problem, Problems, explain};
use metalk8s_types::bootstrap_config::{Mistake, MistakeCode};

/// The mistakes of a BootstrapConfiguration, with their places in `file`.
pub fn configuration_problems(file: &Path, mistakes: Vec<Mistake>) -> Problems {
    let problems = mistakes.into_iter().map(|mistake| problem(file, mistake)).collect();
    Problems::new(format!("the configuration `{}` is not valid", file.display()), problems)
}

/// The mistakes in settings that somebody gave with a call (`pillar=`), which stand in no file.
pub fn given_problems(mistakes: Vec<Mistake>) -> Problems {
    Problems::new("the given `pillar` is not accepted", mistakes.into_iter().map(placeless).collect())
}

fn problem(file: &Path, mistake: Mistake) -> Problem {
    let (line, column) = (mistake.line, mistake.column);
    placeless(mistake).at(file, line, column)
}

fn placeless(mistake: Mistake) -> Problem {
    let Mistake { code, line: _, column: _, key, message, found, accepted } = mistake;
    let code = match code {
        MistakeCode::NotYaml => explain::CONFIG_NOT_YAML,
        MistakeCode::MissingKey => explain::CONFIG_MISSING_KEY,
        MistakeCode::UnknownKey => explain::CONFIG_UNKNOWN_KEY,
        MistakeCode::BadValue => explain::CONFIG_BAD_VALUE,
        MistakeCode::Overlap => explain::CONFIG_OVERLAP,
        MistakeCode::WrongKind => explain::CONFIG_WRONG_KIND,
        MistakeCode::RelativePath => explain::CONFIG_RELATIVE_PATH,
        MistakeCode::TooLarge => explain::CONFIG_TOO_LARGE,
    };
    let mut problem = Problem::new(code, message);
    problem.key = (!key.is_empty()).then_some(key);
    problem.found = found;
    problem.accepted = accepted;
    problem
}

#[cfg(test)]
mod tests {
    use metalk8s_types::BootstrapConfiguration;

    use super::*;

    #[test]
    fn a_mistake_keeps_its_place_its_key_and_what_is_accepted() {
        let mistakes = BootstrapConfiguration::parse(b"kind: X\n").unwrap_err();
        let problems = configuration_problems(Path::new("/etc/metalk8s/bootstrap.yaml"), mistakes);
        let kind = problems.problems.iter().find(|problem| problem.key.as_deref() == Some("kind")).unwrap();
        assert_eq!(kind.place().as_deref(), Some("/etc/metalk8s/bootstrap.yaml:1:7"));
        assert_eq!(kind.accepted.as_deref(), Some("`BootstrapConfiguration`"));
        assert_eq!(problems.problems.len(), 5);
    }

    #[test]
    fn both_crates_agree_on_the_codes() {
        for code in [
            MistakeCode::NotYaml,
            MistakeCode::MissingKey,
            MistakeCode::UnknownKey,
            MistakeCode::BadValue,
            MistakeCode::Overlap,
            MistakeCode::WrongKind,
            MistakeCode::RelativePath,
            MistakeCode::TooLarge,
        ] {
            let mistake = Mistake {
                code,
                line: 1,
                column: 1,
                key: String::new(),
                message: String::new(),
                found: None,
                accepted: None,
            };
            assert_eq!(problem(Path::new("a"), mistake).code.as_str(), code.as_str());
        }
    }
}
