//! A refusal: clear, and without a trace.

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::{
    machine::Machine,
    process::Output,
    suite::{
        cluster::{bootstrap_sh, said},
        inventory::{Listing, listing},
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
        let untouched = Untouched::of(machine)?;
        self.is(&bootstrap_sh(machine, "")?)?;
        untouched.is_as_before(&[])
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
        ensure!(self.tells_way_out(&output.stderr), "it does not tell what to do: {}", said(output));
        Ok(())
    }

    /// Whether it says what to do or what would be accepted, or leads to what `metalk8s explain` says of its code.
    fn tells_way_out(&self, text: &str) -> bool {
        let pointer = format!("`metalk8s explain {}`", self.code);
        text.lines().map(str::trim_start).any(|line| match line.strip_prefix("hint: ") {
            Some(hint) => hint.contains(&pointer) || !hint.contains("`metalk8s explain "),
            None => line.starts_with("accepted: "),
        })
    }
}

/// A machine whose files were listed, which takes as long as a refusal: several of them can share it.
pub(super) struct Untouched<'a> {
    machine: &'a Machine,
    before: Listing,
}

impl<'a> Untouched<'a> {
    /// Lists the files of this machine.
    pub(super) fn of(machine: &'a Machine) -> Result<Self> {
        Ok(Self { machine, before: listing(machine)? })
    }

    /// Whether no file has changed, but for these that the check itself wrote.
    pub(super) fn is_as_before(&self, written: &[&str]) -> Result<()> {
        let now = listing(self.machine)?.without(written);
        let before = self.before.clone().without(written);
        before.must_equal(&now).context("it was refused, but something was changed")
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
    fn a_refusal_has_its_code_and_its_names_and_a_way_out_and_is_no_success() {
        let refusal = Refusal { code: "MK1205", names: &["6443"] };
        let output = |code, text: &str, way_out: &str| Output {
            code,
            stdout: String::new(),
            stderr: format!("{text}\n{way_out}\n"),
        };
        let (said, hint) = ("error: port 6443 is taken (MK1205)", "hint: `ss -ltnp` shows who has it");
        for way_out in [
            hint,
            "hint: `metalk8s explain MK1205` tells what it means and what to do",
            "      accepted: a port that is free",
        ] {
            assert!(refusal.is(&output(1, said, way_out)).is_ok(), "{way_out}");
        }
        for way_out in ["", "hint: `metalk8s explain MK1206` tells what it means and what to do"] {
            assert!(refusal.is(&output(1, said, way_out)).is_err(), "{way_out}");
        }
        for (code, text) in [
            (0, said),
            (1, "error: port 6443 is taken"),
            (1, "warning: port 6443 is taken (MK1205)"),
            (1, "error: port 80 is taken (MK1205)"),
            (127, said),
        ] {
            assert!(refusal.is(&output(code, text, hint)).is_err(), "{code} {text}");
        }
    }
}
