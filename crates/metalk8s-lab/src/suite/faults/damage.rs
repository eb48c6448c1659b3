//! Archives that were damaged on their way.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths::BOOTSTRAP_CONFIG;

use super::{
    bare_machine,
    refusal::{Refusal, Untouched},
};
use crate::{
    install,
    machine::Machine,
    process,
    suite::{Stage, cluster::archive_folder},
};

/// The damaged archive on the machine.
const DAMAGED: &str = "/root/damaged.iso";
const SECTOR: u64 = 2048;
const PROGRAM: &str = "bin/metalk8s";
/// Where the header of a program says what kind of program it is; with another kind the kernel starts none.
const ELF_TYPE: u64 = 16;

pub(super) fn truncated(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let whole = fs::metadata(&stage.archive)?.len();
    let untouched = Untouched::of(machine)?;
    for (share, part) in [
        ("half", whole / 2),
        ("all but the last sectors", whole.saturating_sub(200 * SECTOR)),
        ("nothing", 0),
    ] {
        machine.run_checked(&format!("head --bytes {part} {} > {DAMAGED}", crate::archive::PRODUCT))?;
        use_damaged(stage, machine)?;
        let output = run(machine)?;
        // The program names the file, the script before it the folder in which that is mounted.
        let folder = archive_folder(machine)?;
        let refused = ["MK1302", "MK1303"].iter().any(|code| {
            let names = |name: &str| Refusal { code, names: &[name] }.is(&output).is_ok();
            names(DAMAGED) || names(&folder)
        });
        ensure!(
            refused,
            "{share} of it: it is not refused with MK1302 or MK1303 and its name: {}",
            crate::suite::cluster::said(&output)
        );
    }
    nothing_else_changed(machine, &untouched)
}

pub(super) fn flipped_bytes(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let files = files_of(&stage.archive)?;
    let largest = |start: &str, end: &str| {
        let fitting = files.iter().filter(|file| file.path.starts_with(start) && file.path.ends_with(end));
        fitting.max_by_key(|file| file.bytes).with_context(|| format!("the archive has no {start}*{end}"))
    };
    let wanted =
        [largest("packages/debian/", ".deb")?, largest("images/blobs/", "")?, largest("addons/", ".yaml")?];
    let untouched = Untouched::of(machine)?;
    for file in wanted {
        flip(stage, machine, file, file.bytes - 1)?;
        let output = run(machine)?;
        Refusal { code: "MK1303", names: &[&file.path] }.is(&output).with_context(|| file.path.clone())?;
    }
    nothing_else_changed(machine, &untouched)
}

pub(super) fn flipped_program(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let folder = archive_folder(machine)?;
    let files = files_of(&stage.archive)?;
    let program = files.iter().find(|file| file.path == PROGRAM).context("the archive has no program")?;
    // A program that is compared by itself says so with the path of the archive, as the configuration has it.
    let damaged = format!("the archive `{folder}` is damaged");
    let refusal = Refusal { code: "MK1303", names: &[&damaged, PROGRAM] };
    let untouched = Untouched::of(machine)?;
    for offset in [ELF_TYPE, program.bytes / 2, program.bytes - 1] {
        flip(stage, machine, program, offset)?;
        for door in ["bootstrap.sh", "iso-manager.sh", "backup.sh"] {
            let output = machine.run(&format!("{folder}/{door}"))?;
            refusal.is(&output).with_context(|| format!("{door}, byte {offset}"))?;
        }
    }
    nothing_else_changed(machine, &untouched)
}

/// The checks write these two themselves, and what is mounted has the mode of its own root.
fn nothing_else_changed(machine: &Machine, untouched: &Untouched) -> Result<()> {
    let folder = archive_folder(machine)?;
    untouched.is_as_before(&[DAMAGED, BOOTSTRAP_CONFIG, &folder])
}

/// Has the machine use an archive that differs from the whole one in one byte, of this file.
fn flip(stage: &Stage, machine: &Machine, file: &Inside, offset: u64) -> Result<()> {
    let offset = file.sector * SECTOR + offset;
    let byte = byte_at(&stage.archive, offset)? ^ 0x20;
    // What is mounted is not written to.
    let folder = archive_folder(machine)?;
    machine.run_checked(&format!(
        "! mountpoint --quiet {folder} || umount {folder}; cp {} {DAMAGED}; \
         printf '\\x{byte:02x}' | dd of={DAMAGED} bs=1 seek={offset} conv=notrunc status=none",
        crate::archive::PRODUCT
    ))?;
    use_damaged(stage, machine)
}

/// Does what a person does about a damaged archive: copies it again.
pub(super) fn repair(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let folder = archive_folder(machine)?;
    machine
        .run_checked(&format!("! mountpoint --quiet {folder} || umount {folder}; rm --force {DAMAGED}"))?;
    install::configure(&stage.lab)?;
    Ok(())
}

/// Mounts the damaged archive where the whole one was, and names it in the configuration.
fn use_damaged(stage: &Stage, machine: &Machine) -> Result<()> {
    let folder = archive_folder(machine)?;
    // What cannot be mounted stays unmounted: the documented command is then not there.
    machine.run_checked(&format!("umount {folder} || true; mount {DAMAGED} {folder} || true"))?;
    let configuration = install::configuration(&stage.lab).replace(crate::archive::PRODUCT, DAMAGED);
    Ok(machine.write(BOOTSTRAP_CONFIG, configuration.as_bytes(), 0o644)?)
}

/// The documented command, or where the archive does not even give that, the program of the whole archive.
fn run(machine: &Machine) -> Result<process::Output> {
    let folder = archive_folder(machine)?;
    Ok(machine.run(&format!(
        "if [ \"$(head --bytes 1 {folder}/bootstrap.sh 2> /dev/null)\" = '#' ]; then exec {folder}/bootstrap.sh; fi; \
         whole=$(mktemp -d); mount {} $whole; $whole/bin/metalk8s bootstrap --archive {folder}; code=$?; umount --lazy $whole; exit $code",
        crate::archive::PRODUCT
    ))?)
}

/// A file of an ISO.
#[derive(Debug, PartialEq, Eq)]
struct Inside {
    path: String,
    sector: u64,
    bytes: u64,
}

fn files_of(archive: &Path) -> Result<Vec<Inside>> {
    let mut command = Command::new("xorriso");
    command.arg("-indev").arg(archive).args(["-find", "/", "-type", "f", "-exec", "report_lba", "--"]);
    let output = process::capture(&mut command, None, Duration::from_secs(60))?;
    ensure!(output.success(), "xorriso ended with {}: {}", output.code, output.stderr);
    Ok(output.stdout.lines().filter_map(parse).collect())
}

/// A line such as `File data lba:  0 ,      123 ,        4 ,     7000 , '/bin/metalk8s'`: extent, first sector,
/// sectors, bytes, path.
fn parse(line: &str) -> Option<Inside> {
    let mut parts = line.strip_prefix("File data lba:")?.splitn(5, ',').map(str::trim);
    let (_, sector, _, bytes, path) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let path = path.trim_matches('\'').trim_start_matches('/').to_owned();
    Some(Inside { path, sector: sector.parse().ok()?, bytes: bytes.parse().ok()? })
}

fn byte_at(path: &Path, offset: u64) -> Result<u8> {
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, offset)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_xorriso_tells_where_a_file_is() {
        let line = "File data lba:  0 ,     1234 ,       10 ,    20000 , '/bin/metalk8s'";
        assert_eq!(parse(line), Some(Inside { path: "bin/metalk8s".into(), sector: 1234, bytes: 20000 }));
        assert_eq!(parse("Report layout: xt , Startlba"), None);
    }
}
