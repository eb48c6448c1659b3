//! What systemd knows.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use super::Unit;
use crate::precheck::software::CONFLICTING;

/// How long a program of systemd may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Our own agent, which answers to the name of the minion it replaces.
const AGENT: &str = "metalk8s-agent.service";

/// The installed ones among the units known for conflicts, and whether systemd answers at all.
pub(super) async fn collect() -> (Vec<Unit>, bool) {
    let names: Vec<&str> = CONFLICTING.iter().map(|(name, _)| *name).collect();
    let arguments = [&["show", "--property=Names,LoadState,ActiveState", "--"], names.as_slice()].concat();
    match output("systemctl", &arguments).await {
        Some(text) => (installed(&text), true),
        None => (Vec::new(), false),
    }
}

/// Whether the clock follows others.
pub(super) async fn time_synchronised() -> Option<bool> {
    let text = output("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await?;
    match text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// What a program prints, if it succeeds in time.
async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, child).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `systemctl show`: one block of properties for each unit, with an empty line between.
fn installed(text: &str) -> Vec<Unit> {
    let unit = |block: &str| {
        let property = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        // An alias is shown with all names of its unit.
        let names: Vec<&str> = property("Names").split_whitespace().collect();
        let asked_for = CONFLICTING.iter().find(|(name, _)| names.contains(name));
        let is_installed = !matches!(property("LoadState"), "not-found" | "masked" | "");
        let (name, _) = asked_for.filter(|_| is_installed && !names.contains(&AGENT))?;
        let active = matches!(property("ActiveState"), "active" | "activating" | "reloading");
        Some(Unit { name: (*name).to_owned(), active })
    };
    text.split("\n\n").filter_map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_units_are_found_and_the_agents_alias_is_not_a_minion() {
        let text = "Names=docker.service\nLoadState=loaded\nActiveState=active\n\n\
                    Names=crio.service\nLoadState=not-found\nActiveState=inactive\n\n\
                    Names=puppet.service\nLoadState=loaded\nActiveState=inactive\n\n\
                    Names=chef-client.service\nLoadState=masked\nActiveState=inactive\n\n\
                    Names=metalk8s-agent.service salt-minion.service\nLoadState=loaded\nActiveState=active\n";
        assert_eq!(
            installed(text),
            [
                Unit { name: "docker.service".into(), active: true },
                Unit { name: "puppet.service".into(), active: false },
            ]
        );
        assert_eq!(installed(""), []);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_nothing() {
        assert_eq!(output("metalk8s-no-such-program", &[]).await, None);
    }
}
