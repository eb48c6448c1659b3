//! How a program ends.

use std::{
    error::Error,
    process::{ExitCode, Termination},
};

use crate::{Code, diagnose::codes, explain};

/// The status a program ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or nothing to do.
    Done,
    /// 1: it failed, and it was said why.
    Failed,
    /// 2: wrong usage or an invalid configuration; nothing was changed.
    Usage,
    /// 3: changes are pending, where that was asked (`--dry-run --exit-code`).
    Pending,
    /// 130: interrupted, as a shell counts SIGINT.
    Interrupted,
    /// Any other: what users of another program expect, where ours stands in its place.
    Status(u8),
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Pending => 3,
            Self::Interrupted => 130,
            Self::Status(status) => status,
        }
    }

    /// How a program ends that failed with this error: [`Exit::Usage`] where something in its chain says that
    /// the command line, a configuration or an SLS file must be corrected, else [`Exit::Failed`].
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        for code in codes(error) {
            match code {
                code if code == explain::INTERRUPTED => return Self::Interrupted,
                code if is_usage(code) => return Self::Usage,
                _ => {}
            }
        }
        Self::Failed
    }
}

/// The areas of the configuration and of SLS files.
fn is_usage(code: Code) -> bool {
    code == explain::WRONG_USAGE || code.as_str().starts_with("MK11") || code.as_str().starts_with("MK18")
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::Exit;
    use crate::{Diagnosed, Problem, Problems, explain};

    #[test]
    fn mistakes_of_the_person_end_with_2_and_failures_of_the_world_with_1() {
        let of = |error: anyhow::Error| Exit::of(error.context("could not bootstrap").as_ref());
        let problems = |code| anyhow::Error::new(Problems::new("not valid", vec![Problem::new(code, "x")]));
        assert_eq!(of(problems(explain::CONFIG_BAD_VALUE)), Exit::Usage);
        assert_eq!(of(problems(explain::TOO_FEW_CPUS)), Exit::Failed);
        assert_eq!(of(anyhow!(Diagnosed::with_code(explain::INTERRUPTED, "stopped"))), Exit::Interrupted);
        assert_eq!(of(anyhow!("something else")), Exit::Failed);
        let missing: Result<(), _> = Err(Diagnosed::with_code(explain::CONFIG_MISSING, "no such file"));
        assert_eq!(of(missing.context("reading").unwrap_err()), Exit::Usage);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Pending, Exit::Interrupted].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 130]);
    }
}
