//! `vagrant_up` and `vagrant_restore`: the manual's names for a machine of the lab and its snapshot (DEV-01, DEV-03).
//!
//! The machine is a container and no Vagrant takes part. The lab is another program, called by its front door.

use std::{env, process::Command};

use crate::{
    context::Context,
    iso,
    settings::Settings,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task that boots a machine.
pub const UP: &str = "vagrant_up";
/// Name of the task that goes back to its snapshot.
pub const RESTORE: &str = "vagrant_restore";
/// The setting that names the snapshot.
const SNAPSHOT: &str = "VAGRANT_SNAPSHOT_NAME";
/// What that setting is documented to be by default.
const DEFAULT_SNAPSHOT: &str = "bootstrap.autosnapshot";

/// Both tasks.
pub fn tasks() -> Vec<Task> {
    let up =
        Task::new(UP, "boot a lab machine with a cluster on it, as ./lab up", Kind::Always(Box::new(up)));
    let about = "put that machine back to its snapshot, as ./lab restore";
    let restore = Task::new(RESTORE, about, Kind::Always(Box::new(restore)));
    vec![Task { tasks: vec![iso::TASK.to_owned()], guess: 300, ..up }, Task { guess: 60, ..restore }]
}

fn up(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let archive = step.ctx.build_root.join(iso::FILE);
    step.log.run(lab(step.ctx).args(["up", "--iso"]).arg(archive))?;
    if let Some(name) = snapshot(env::var(SNAPSHOT).ok(), &step.ctx.settings) {
        step.log.run(lab(step.ctx).args(["snapshot", &lab_name(&name)]))?;
    }
    Ok(Outcome::Done)
}

fn restore(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let name = snapshot(env::var(SNAPSHOT).ok(), &step.ctx.settings);
    let name = lab_name(name.as_deref().unwrap_or(DEFAULT_SNAPSHOT));
    step.log.run(lab(step.ctx).args(["restore", &name]))?;
    Ok(Outcome::Done)
}

fn lab(ctx: &Context) -> Command {
    let mut command = Command::new(ctx.root.join("lab"));
    command.current_dir(&ctx.root);
    command
}

/// The name that the environment, or else `.env`, gives the snapshot; without one there is no snapshot.
fn snapshot(environment: Option<String>, settings: &Settings) -> Option<String> {
    let name = environment.unwrap_or_else(|| settings.get(SNAPSHOT, "").to_owned());
    Some(name).filter(|name| !name.is_empty())
}

/// The name as the lab takes it, in small letters, digits and hyphens: `bootstrap-autosnapshot`.
fn lab_name(name: &str) -> String {
    let accepted = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(accepted).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_snapshot_before_the_file_does() {
        let settings = Settings::parse("export VAGRANT_SNAPSHOT_NAME=mine").unwrap();
        assert_eq!(snapshot(None, &Settings::default()), None);
        assert_eq!(snapshot(None, &settings).as_deref(), Some("mine"));
        assert_eq!(snapshot(Some("other".to_owned()), &settings).as_deref(), Some("other"));
        assert_eq!(snapshot(Some(String::new()), &settings), None);
    }

    #[test]
    fn the_documented_name_becomes_one_that_the_lab_takes() {
        assert_eq!(lab_name(DEFAULT_SNAPSHOT), "bootstrap-autosnapshot");
        assert_eq!(lab_name("_My Name_"), "my-name");
    }
}
