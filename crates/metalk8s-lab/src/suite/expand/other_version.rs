//! States of another version, whose archive is there beside this one's.

use std::time::Duration;

use anyhow::{Result, ensure};
use metalk8s_diagnostics::Diagnosed;
use metalk8s_types::{environment, paths};

use super::{
    Machine, NODE, Stage, in_master, jobs::changes_nothing, node_machine, said, version_of_archive,
    wait_until,
};
use crate::{archive::other, suite::cluster::archive_folder};

/// How long all bytes of an archive may take to be looked at.
const EXAMINED: Duration = Duration::from_secs(600);
/// How long it may take until nodes are told of an archive: the conductor looks every half minute.
const TOLD: Duration = Duration::from_secs(120);

/// The archive that is made holds the program of this version. Started as another's it says that it is none, which
/// nobody says but a program that was fetched and started. It stays mounted: there is no command that takes it away.
pub(super) fn is_fetched(stage: &Stage) -> Result<()> {
    let (bootstrap, machine) = (stage.lab.bootstrap()?, node_machine(stage)?);
    let own = version_of_archive(bootstrap)?;
    let folder = tempfile::tempdir()?;
    let (version, iso) = other::make(&stage.archive, folder.path())?;
    let archive = stage.lab.offer_archive(&iso, "metalk8s-other.iso").map_err(Diagnosed::new)?;
    drop(folder);
    let highstate = format!("state.highstate saltenv={} test=True", environment(&version));
    let call = || machine.run(&format!("salt-call {highstate}"));
    let unknown = call()?;
    let words = format!("no archive of version {version} is mounted");
    ensure!(unknown.code == 1 && unknown.stderr.contains(&words), "{}", said(&unknown));

    let add = format!("{}/iso-manager.sh --archive {archive}", archive_folder(bootstrap)?);
    let added = bootstrap.run_for(&add, EXAMINED)?;
    ensure!(added.success(), "{}", said(&added));
    let answer = format!("the program that is offered as {version} is {own}");
    wait_until("the program of the other version to answer", TOLD, || {
        let asked = call().map_err(|error| error.to_string())?;
        if asked.code == 1 && asked.stderr.contains(&answer) { Ok(()) } else { Err(said(&asked)) }
    })?;
    let offered = digest(bootstrap, &format!("{}/{}/bin/metalk8s", paths::ARCHIVES, environment(&version)))?;
    let kept = program(&version);
    let is_offered = || -> Result<()> {
        let found = digest(machine, &kept)?;
        ensure!(found == offered, "`{kept}` has the digest {found}, and {offered} is offered");
        Ok(())
    };
    is_offered()?;
    machine.run_checked(&format!("test -x {kept} && test -x {}", program(&own)))?;

    // One that is there and right is not fetched again; one that was damaged is, also for a job.
    let file = || machine.run_checked(&format!("stat --format %i {kept}"));
    let before = file()?;
    let again = call()?;
    ensure!(again.stderr.contains(&answer), "{}", said(&again));
    ensure!(file()? == before, "it was fetched once more");
    machine.run_checked(&format!("echo >> {kept}"))?;
    let told = in_master(stage, &format!("salt {NODE} {highstate}"))?;
    ensure!(told.code == 1 && told.stdout.contains(&answer), "{}", said(&told));
    is_offered()?;
    changes_nothing(machine, &format!("state.highstate saltenv={}", environment(&own)))
}

/// Where a node keeps the program of a version.
fn program(version: &str) -> String {
    format!("{}/{}/metalk8s", paths::PROGRAMS, environment(version))
}

fn digest(machine: &Machine, path: &str) -> Result<String> {
    Ok(machine.run_checked(&format!("sha256sum < {path}"))?)
}
