//! The ISO, made by xorriso from the tree, with nothing in it that depends on the computer or the hour.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use metalk8s_artifacts::digest::sha256_of;
use walkdir::WalkDir;

use crate::{
    context::Context,
    populate,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task.
pub const TASK: &str = "iso";
/// Name of the ISO below the build root.
pub const FILE: &str = "metalk8s.iso";
/// Name of the file with its digest, as sha256sum(1) checks it.
pub const SUM: &str = "SHA256SUM";
const RECIPE: &str = include_str!("iso.rs");
const XORRISO: &str = "xorriso";

/// The task.
pub fn task(ctx: &Context) -> Task {
    let targets = [FILE, SUM].map(|name| ctx.build_root.join(name)).to_vec();
    let task = Task::new(TASK, "make the ISO", Kind::Placed(targets, Box::new(build)));
    Task {
        tasks: vec![populate::TASK.to_owned()],
        facts: vec![RECIPE.to_owned(), ctx.epoch.to_string()],
        guess: 10,
        ..task
    }
}

/// The program that makes the image. The manual's own value (P148) is the tool that xorriso stands in for here.
fn image_maker(setting: &str) -> &str {
    if setting == "mkisofs" { XORRISO } else { setting }
}

fn build(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let (ctx, iso) = (step.ctx, step.out.join(FILE));
    let unfinished = step.out.join(format!("{FILE}.tmp"));
    remove(&unfinished)?;
    let order = step.out.join(".tasks/iso-order");
    fs::create_dir_all(step.out.join(".tasks"))?;
    fs::write(&order, file_order(&ctx.iso_root())?).context("could not write the order of files")?;
    let volume = format!("{} {}", ctx.versions.product.name, ctx.version());
    let date = populate::timestamp(ctx.epoch).replace(['-', ':', 'T', 'Z'], "");
    let mut command = Command::new(image_maker(ctx.settings.get("MKISOFS_BIN", XORRISO)));
    command
        .args(["-as", "mkisofs", "-quiet", "-R", "-J", "-joliet-long", "-l", "-iso-level", "3"])
        .args(["-input-charset", "utf-8", "-output-charset", "utf-8", "-uid", "0", "-gid", "0"])
        .args(["-V", &volume, "--set_all_file_dates"])
        .arg(format!("={}", ctx.epoch))
        .arg(format!("--modification-date={date}00"))
        .arg("--sort-weight-list")
        .arg(&order)
        .arg("-o")
        .arg(&unfinished)
        .arg(ctx.iso_root())
        .env("SOURCE_DATE_EPOCH", ctx.epoch.to_string());
    step.log.run(&mut command)?;
    let mut file = fs::File::open(&unfinished).context("xorriso made no ISO")?;
    let (_, digest) = sha256_of(&mut file, &mut |_| ()).context("could not read the ISO")?;
    fs::rename(&unfinished, &iso).context("could not put the ISO in its place")?;
    fs::write(step.out.join(SUM), format!("{digest}  {FILE}\n"))
        .context("could not write the ISO's digest")?;
    Ok(Outcome::Done)
}

/// One line per file with its weight: without it, xorriso lays contents out by inode number.
fn file_order(root: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in WalkDir::new(root).min_depth(1) {
        let entry = entry.context("could not walk the tree of the ISO")?;
        if entry.file_type().is_file() {
            files.push(entry.path().strip_prefix(root)?.to_owned());
        }
    }
    files.sort();
    let count = files.len();
    let lines = files.iter().enumerate().map(|(at, path)| format!("{} /{}\n", count - at, path.display()));
    Ok(lines.collect())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("could not remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::image_maker;

    #[test]
    fn the_settings_of_the_manual_make_an_image_with_what_is_there() {
        assert_eq!(
            ["mkisofs", "xorriso", "/opt/xorriso"].map(image_maker),
            ["xorriso", "xorriso", "/opt/xorriso"]
        );
    }
}
