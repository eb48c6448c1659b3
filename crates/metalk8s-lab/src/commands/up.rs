//! `./lab up`.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::{Lab, LabConfig};

use crate::{
    args::{Common, Up},
    checkout,
    commands::{self, status::Status},
};

pub(super) fn run(common: &Common, args: &Up, printer: &mut Printer) -> Result<Exit> {
    let started = Instant::now();
    let progress = commands::progress(common);
    let name = commands::name(common)?;
    progress.say(&format!("Lab {name}: {} on networks of their own", count(args.machines)));
    let config =
        LabConfig { name, machines: args.machines, archive: archive(args)?, bootstrap: !args.no_bootstrap };
    let lab = commands::lab(Lab::up(&config, &progress))?;

    let status = Status::of(&lab)?;
    let seconds = started.elapsed().as_secs_f64();
    progress.say(&format!("The lab is up after {seconds:.1} s"));
    commands::answer(common, printer, &status, &status.text())?;
    Ok(Exit::Done)
}

fn archive(args: &Up) -> Result<Option<PathBuf>> {
    if args.iso.is_some() {
        return Ok(args.iso.clone());
    }
    let path = built_archive(&checkout::root()?)?;
    Ok((!args.no_bootstrap || path.exists()).then_some(path))
}

/// The archive that the build chain makes in this checkout, whose scripts say where that is.
pub(super) fn built_archive(checkout: &Path) -> Result<PathBuf> {
    const ARCHIVE: &str = "metalk8s.iso";
    let door = checkout.join("scripts/doors/build-root");
    if !door.exists() {
        return Ok(checkout.join("_build").join(ARCHIVE));
    }
    let output = Command::new("bash").arg(&door).output();
    let output = output.with_context(|| format!("could not run `{}`", door.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the folder of the build cannot be told: {}", said.trim_end());
    let folder = output.stdout.trim_ascii_end().to_vec();
    Ok(PathBuf::from(OsString::from_vec(folder)).join(ARCHIVE))
}

fn count(machines: u8) -> String {
    if machines == 1 { "1 machine".to_owned() } else { format!("{machines} machines") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_archive_is_where_the_settings_of_the_build_have_it() {
        let checkout = tempfile::tempdir().unwrap();
        let found = || built_archive(checkout.path());
        assert_eq!(found().unwrap(), checkout.path().join("_build/metalk8s.iso"));

        let doors = checkout.path().join("scripts/doors");
        fs::create_dir_all(&doors).unwrap();
        let door = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/doors/build-root");
        fs::copy(door, doors.join("build-root")).unwrap();
        fs::write(checkout.path().join(".env"), "export BUILD_ROOT='/elsewhere/of two words'\n").unwrap();
        assert_eq!(found().unwrap(), Path::new("/elsewhere/of two words/metalk8s.iso"));

        fs::write(checkout.path().join(".env"), "BUILD_ROOT='x\n").unwrap();
        assert!(found().unwrap_err().to_string().contains("quote without end"));
    }
}
