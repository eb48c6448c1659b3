//! Configuration files of lines that several states share, such as /etc/fstab.

use std::path::Path;

use metalk8s_engine::StateError;
use metalk8s_types::header;

use crate::{Host, doing::Doing, files::draft::replace_keeping};

/// Changes a shared file under the host's lock; a missing one is taken as empty. Nothing is written where
/// nothing changed.
pub(crate) fn edit(
    host: &Host,
    path: &Path,
    change: impl FnOnce(&str) -> String,
) -> Result<bool, StateError> {
    edit_or_make(host, path, 0o644, change)
}

/// Changes a file as [`edit`] does; a new one is for root alone.
pub(crate) fn edit_private(
    host: &Host,
    path: &Path,
    change: impl FnOnce(&str) -> String,
) -> Result<bool, StateError> {
    edit_or_make(host, path, 0o600, change)
}

/// Changes a file of ours as [`edit`] does; a new one begins with our header (CFG-28).
pub(crate) fn edit_own(
    host: &Host,
    path: &Path,
    change: impl FnOnce(&str) -> String,
) -> Result<bool, StateError> {
    edit(host, path, |text| if text.is_empty() { change(&header()) } else { change(text) })
}

fn edit_or_make(
    host: &Host,
    path: &Path,
    mode_if_new: u32,
    change: impl FnOnce(&str) -> String,
) -> Result<bool, StateError> {
    let _guard = host.edit();
    let old = host.read(path)?.unwrap_or_default();
    let old = String::from_utf8(old).doing(|| format!("could not read `{}`", path.display()))?;
    let new = change(&old);
    if new == old {
        return Ok(false);
    }
    replace_keeping(&host.real(path)?, new.as_bytes(), mode_if_new)
        .doing(|| format!("could not write `{}`", path.display()))?;
    Ok(true)
}

/// The text in which the lines that `is_ours` accepts are replaced by one, at the place of the first of
/// them or at the end.
pub(crate) fn with_line(text: &str, line: &str, is_ours: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut placed = false;
    for old in text.lines() {
        if !is_ours(old) {
            lines.push(old);
        } else if !placed {
            lines.push(line);
            placed = true;
        }
    }
    if !placed {
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// The text without the lines that `is_ours` accepts.
pub(crate) fn without(text: &str, is_ours: impl Fn(&str) -> bool) -> String {
    text.split_inclusive('\n').filter(|line| !is_ours(line.trim_end_matches('\n'))).collect()
}

/// What a line says, without its comment.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split('#').next().unwrap_or_default().split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[test]
    fn a_line_keeps_its_place_and_its_doubles_go() {
        let is_b = |line: &str| line.starts_with('b');
        assert_eq!(with_line("a\nb1\nc\nb2\n", "b", is_b), "a\nb\nc\n");
        assert_eq!(with_line("a", "b", is_b), "a\nb\n");
        assert_eq!(with_line("", "b", is_b), "b\n");
    }

    #[test]
    fn lines_go_and_the_others_are_as_they_were() {
        assert_eq!(without("a\n\nb1\nc\r\nb2", |line| line.starts_with('b')), "a\n\nc\r\n");
        assert_eq!(without("a", |line| line == "b"), "a");
    }

    #[test]
    fn an_edit_that_changes_nothing_writes_nothing() {
        let lab = Lab::new();
        assert!(!edit(&lab.host, Path::new("/etc/fstab"), str::to_owned).unwrap());
        assert!(!lab.path("/etc/fstab").exists());
    }

    #[test]
    fn states_that_share_a_file_do_not_lose_each_others_lines() {
        let lab = Lab::new();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let host = &lab.host;
                scope.spawn(move || {
                    edit(host, Path::new("/etc/shared"), |text| format!("{text}{number}\n")).unwrap();
                });
            }
        });
        assert_eq!(lab.text("/etc/shared").lines().count(), 8);
    }
}
