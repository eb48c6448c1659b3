//! Swap space, which the kubelet does not want.

use std::path::Path;

use metalk8s_engine::{Change, ChangeKind, StateError, state::Swap};

use crate::{Host, doing::Doing, lines};

const FSTAB: &str = "/etc/fstab";
/// Before a line that we took out of use.
const OFF: &str = "#metalk8s: ";

pub(crate) fn check(host: &Host, wish: &Swap) -> Result<Option<Change>, StateError> {
    let fstab = host.read_text(Path::new(FSTAB))?.unwrap_or_default();
    if in_use(host)? == wish.enabled && edited(&fstab, wish.enabled) == fstab {
        return Ok(None);
    }
    let (kind, word) = if wish.enabled { (ChangeKind::Create, "on") } else { (ChangeKind::Remove, "off") };
    Ok(Some(Change::new(kind, format!("turn swap {word}, now and at boot"))))
}

pub(crate) async fn apply(host: &Host, wish: &Swap) -> Result<(), StateError> {
    lines::edit(host, Path::new(FSTAB), |text| edited(text, wish.enabled))?;
    if in_use(host)? == wish.enabled {
        return Ok(());
    }
    let (program, word) = if wish.enabled { ("swapon", "on") } else { ("swapoff", "off") };
    host.program(program)
        .arg("--all")
        // Everything that was swapped out has to be read back.
        .deadline(std::time::Duration::from_secs(600))
        .run()
        .await
        .doing(|| format!("could not turn swap {word}"))?;
    Ok(())
}

/// Whether any swap space is in use: the list has a line below its heading.
pub(crate) fn in_use(host: &Host) -> Result<bool, StateError> {
    Ok(host.read_text(Path::new("/proc/swaps"))?.unwrap_or_default().lines().nth(1).is_some())
}

/// Whether a line of fstab waits to be turned on again.
pub(crate) fn has_lines_turned_off(host: &Host) -> Result<bool, StateError> {
    let fstab = host.read_text(Path::new(FSTAB))?.unwrap_or_default();
    Ok(edited(&fstab, true) != fstab)
}

/// fstab with its lines for swap in use or not. Only lines that we took out come back. Pure.
fn edited(fstab: &str, enabled: bool) -> String {
    let lines = fstab.lines().map(|line| match line.strip_prefix(OFF) {
        Some(ours) if enabled => ours.to_owned(),
        None if !enabled && lines::words(line).get(2) == Some(&"swap") => format!("{OFF}{line}"),
        Some(_) | None => line.to_owned(),
    });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if fstab.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    const HEADING: &str = "Filename Type Size Used Priority\n";
    const LINES: &str = "/dev/a / ext4 defaults 0 1\n/dev/b none swap sw 0 0\n#/dev/c none swap sw 0 0";

    #[tokio::test]
    async fn swap_goes_off_and_comes_back_with_only_our_lines() {
        let lab = Lab::new();
        lab.file("/proc/swaps", &format!("{HEADING}/dev/b partition 1 0 -2\n"));
        lab.file("/etc/fstab", LINES);
        lab.program("swapoff", &format!("printf '{HEADING}' > \"$ROOT/proc/swaps\""));
        lab.program("swapon", &format!("printf '{HEADING}/dev/b partition' > \"$ROOT/proc/swaps\""));
        lab.settles(&State::Swap(Swap { enabled: false })).await;
        assert!(
            lab.text("/etc/fstab").contains("\n#metalk8s: /dev/b none swap"),
            "{}",
            lab.text("/etc/fstab")
        );
        lab.settles(&State::Swap(Swap { enabled: true })).await;
        assert_eq!(lab.text("/etc/fstab"), LINES);
    }

    #[tokio::test]
    async fn a_host_without_swap_has_nothing_to_turn_off() {
        let lab = Lab::new();
        lab.file("/proc/swaps", HEADING);
        assert_eq!(lab.check(&State::Swap(Swap { enabled: false })).await.unwrap(), None);
    }
}
