//! How a program ends.

use std::process::{ExitCode, Termination};

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
        }
    }
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
    use super::Exit;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Pending, Exit::Interrupted].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 130]);
    }
}
