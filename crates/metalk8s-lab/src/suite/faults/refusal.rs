//! A refusal: clear, and without a trace.

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::{
    machine::Machine,
    process::Output,
    suite::{
        cluster::{bootstrap_sh, said},
        inventory::listing,
    },
};

/// What a refusal must be like.
pub(super) struct Refusal<'a> {
    /// Its code, such as `MK1205`.
    pub(super) code: &'a str,
    /// What it must name, each.
    pub(super) names: &'a [&'a str],
}

impl Refusal<'_> {
    /// Runs the documented command, which must refuse and change no file.
    pub(super) fn of_bootstrap(&self, machine: &Machine) -> Result<()> {
        let before = listing(machine)?;
        let output = bootstrap_sh(machine, "")?;
        self.is(&output)?;
        before.must_equal(&listing(machine)?).context("it was refused, but something was changed")
    }

    /// Whether this output is one.
    pub(super) fn is(&self, output: &Output) -> Result<()> {
        ensure!(!output.success(), "it was not refused: {}", said(output));
        ensure!(output.code < 126, "it was not refused, but did not run: {}", said(output));
        let codes = codes(&output.stderr);
        ensure!(
            codes.contains(&self.code),
            "the code should be {}, not {codes:?}: {}",
            self.code,
            said(output)
        );
        for name in self.names {
            ensure!(output.stderr.contains(name), "it does not name `{name}`: {}", said(output));
        }
        ensure!(!output.stderr.contains("panicked"), "it is a crash: {}", said(output));
        Ok(())
    }
}

/// Codes of errors; those of warnings stand on lines of their own.
fn codes(text: &str) -> Vec<&str> {
    let Ok(pattern) = Regex::new("MK[0-9]{4}") else { return Vec::new() };
    let lines = text.lines().filter(|line| !line.starts_with("warning:"));
    lines.flat_map(|line| pattern.find_iter(line)).map(|found| found.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_code_and_its_names_and_is_no_success() {
        let refusal = Refusal { code: "MK1205", names: &["6443"] };
        let output = |code, text: &str| Output { code, stdout: String::new(), stderr: text.to_owned() };
        assert!(refusal.is(&output(1, "error: port 6443 is taken (MK1205)")).is_ok());
        for (code, text) in [
            (0, "error: port 6443 is taken (MK1205)"),
            (1, "error: port 6443 is taken"),
            (1, "warning: port 6443 is taken (MK1205)"),
            (1, "error: port 80 is taken (MK1205)"),
            (127, "error: port 6443 is taken (MK1205)"),
        ] {
            assert!(refusal.is(&output(code, text)).is_err(), "{code} {text}");
        }
    }
}
