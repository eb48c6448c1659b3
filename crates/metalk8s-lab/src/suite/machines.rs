//! What must hold of bare machines, before the product comes in.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};

use super::{Check, Options, Stage, Suite, Tally, quiet, run_checks};
use crate::{
    SOON, TemporaryLab, archive,
    lab::{Lab, LabConfig, LabName},
    machine::{Machine, Power},
    process, wait_until,
};

mod interrupted;
mod logs;
mod stub;

use stub::StubArchive;

/// Run by `metalk8s-lab suite machines`.
pub const SUITE: Suite = Suite {
    name: "machines",
    about: "bare machines boot, reach each other and nothing else, and can be treated badly",
    run,
};

/// Told to the journal before the first reboot.
const OF_FORMER_BOOT: &str = "a-mark-of-the-suite";

const CHECKS: &[Check] = &[
    Check { name: "a bare machine runs, without Kubernetes, Python or package sources", run: is_bare },
    Check { name: "both planes join the machines and this computer", run: planes_join },
    Check { name: "what leaves the lab is refused at once and counted", run: outside_is_refused },
    Check { name: "an archive is mounted and unmounted as the manual prints it", run: archive_mounts },
    Check { name: "a reboot keeps addresses, routes, mounts of fstab and the journal", run: reboot_keeps },
    Check {
        name: "`./lab logs` shows the journal since the boot, of one machine or unit, and follows it",
        run: logs::show_the_journal,
    },
    Check { name: "`reboot` typed on the machine brings it back", run: reboot_from_inside },
    Check { name: "a power cut loses nothing that was synced, and no other machine notices", run: power_cut },
    Check { name: "`up` once more changes nothing", run: up_again },
    Check { name: "a snapshot brings files back, on the root and below /var", run: snapshot_brings_back },
    Check { name: "two labs do not meet", run: labs_are_apart },
    Check { name: "`up` killed at random moments goes on", run: interrupted::up_goes_on_after_a_kill },
    Check { name: "`down` leaves nothing behind, not even loop devices", run: down_leaves_nothing },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let stub = StubArchive::make().context("could not make an archive to test with")?;
    printer.data(&format!("seed {}", options.seed));
    let lab = TemporaryLab::up(&config(&options.lab, &stub)).map_err(Diagnosed::new)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), stub.path(), options), printer))
}

/// The lab that the suite makes: beside the one of this name, not in its place.
fn config(name: &LabName, stub: &StubArchive) -> LabConfig {
    LabConfig { name: name.beside("bare"), machines: 2, archive: Some(stub.path()), bootstrap: false }
}

fn is_bare(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let state = machine.run("systemctl is-system-running; systemctl --failed --no-legend")?;
        ensure!(state.stdout.trim() == "running", "{}: {}", machine.name, state.stdout);
        for program in ["containerd", "runc", "kubelet", "kubectl", "python3"] {
            let found = machine.run(&format!("command -v {program}"))?;
            ensure!(!found.success(), "{}: {program} is installed", machine.name);
        }
        let sources = machine
            .run_checked("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null || true")?;
        ensure!(sources.is_empty(), "{}: {sources}", machine.name);
        let disks = machine.run_checked("find /dev -type b ! -name 'loop*'")?;
        ensure!(disks.is_empty(), "{} sees disks of the computer: {disks}", machine.name);
    }
    Ok(())
}

fn planes_join(stage: &Stage) -> Result<()> {
    let [first, second] = stage.lab.machines.as_slice() else { anyhow::bail!("the lab has not 2 machines") };
    for address in [second.control, second.workload] {
        let answer = first.run_checked(&format!("timeout 10 bash -c 'head -c 4 < /dev/tcp/{address}/22'"))?;
        ensure!(answer == "SSH-", "{address} answers {answer} to {}", first.name);
        TcpStream::connect_timeout(&SocketAddr::from((address, 22)), Duration::from_secs(10))
            .with_context(|| format!("{address} does not answer this computer"))?;
    }
    Ok(())
}

fn outside_is_refused(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    // An address for documentation, which nobody has.
    let started = Instant::now();
    let answer = machine.run("timeout 20 bash -c 'true < /dev/tcp/203.0.113.1/443'")?;
    ensure!(!answer.success(), "203.0.113.1 answered");
    ensure!(answer.code != 124, "no answer after {:?}, where a refusal should come", started.elapsed());
    let name = machine.run("timeout 20 getent hosts registry.invalid.test")?;
    ensure!(!name.success() && name.code != 124, "a name outside ended with {}", name.code);
    let counters = machine.run_checked("nft list counters table inet metalk8s-lab")?;
    ensure!(!counters.contains("packets 0 "), "not counted: {counters}");
    Ok(())
}

fn archive_mounts(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let folder = "/srv/scality/metalk8s-0.0.1";
    machine.run_checked(&format!("mkdir -p {folder}"))?;
    for options in ["", "-o loop", "-o ro,loop -t iso9660"] {
        machine.run_checked(&format!("mount {options} {} {folder}", archive::PRODUCT))?;
        let product =
            machine.run_checked(&format!("test -x {folder}/bootstrap.sh; cat {folder}/product.txt"))?;
        ensure!(product.contains("VERSION=0.0.1"), "product.txt: {product}");
        let written = machine.run(&format!("touch {folder}/x"))?;
        ensure!(!written.success(), "the archive can be written");
        machine.run_checked(&format!("umount {folder}"))?;
    }
    Ok(())
}

fn reboot_keeps(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let look = "ip -brief -4 address show scope global | sort --key 3; ip -4 route";
    let before = machine.run_checked(look)?;
    let line = format!("{} /srv/scality/metalk8s-0.0.1 iso9660 nofail,ro,loop 0 0", archive::PRODUCT);
    machine.run_checked(&format!("echo '{line}' >> /etc/fstab; logger {OF_FORMER_BOOT}"))?;
    machine.reboot()?;
    let after = machine.run_checked(look)?;
    // The numbers behind the interfaces' names change.
    ensure!(without_peers(&before) == without_peers(&after), "before:\n{before}\nafter:\n{after}");
    machine.run_checked("test -x /srv/scality/metalk8s-0.0.1/bootstrap.sh")?;
    machine.run_checked(&format!("journalctl --boot=-1 --grep {OF_FORMER_BOOT}"))?;
    machine.run_checked("sed -i '/iso9660/d' /etc/fstab; umount /srv/scality/metalk8s-0.0.1")?;
    Ok(())
}

fn without_peers(text: &str) -> String {
    text.split_whitespace().map(|word| word.split('@').next().unwrap_or(word)).collect::<Vec<_>>().join(" ")
}

fn reboot_from_inside(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let before = boot_id(machine)?;
    // The command ends with its connection, in whatever way.
    let _ = machine.run("systemctl reboot");
    wait_until("another boot", SOON, || match boot_id(machine) {
        Ok(id) if id != before => Ok(()),
        Ok(_) => Err("it still runs".to_owned()),
        Err(error) => Err(error.to_string()),
    })?;
    machine.wait_booted()?;
    Ok(())
}

fn power_cut(stage: &Stage) -> Result<()> {
    let [machine, other] = stage.lab.machines.as_slice() else { anyhow::bail!("the lab has not 2 machines") };
    let before = boot_id(other)?;
    machine.run_checked("echo kept > /var/kept; echo kept > /etc/kept; sync")?;
    machine.cut_power()?;
    ensure!(machine.power()? == Power::Off, "it came back by itself");
    machine.start()?;
    machine.run_checked("grep kept /var/kept /etc/kept")?;
    ensure!(boot_id(other)? == before, "{} booted too", other.name);
    other.run_checked("systemctl is-system-running")?;
    Ok(())
}

fn up_again(stage: &Stage) -> Result<()> {
    let before = boots(&stage.lab)?;
    let config = LabConfig {
        name: stage.lab.name.clone(),
        machines: 2,
        archive: Some(stage.archive.clone()),
        bootstrap: false,
    };
    let again = Lab::up(&config, &quiet()).map_err(Diagnosed::new)?;
    ensure!(again.networks == stage.lab.networks, "other networks: {:?}", again.networks);
    ensure!(boots(&again)? == before, "a machine was made or booted again");
    Ok(())
}

fn snapshot_brings_back(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let name: LabName = "kept".parse()?;
    // What an overlay makes of a removed file: containerd's layers have them.
    machine.run_checked(
        "echo before | tee /etc/kept > /var/kept; rm -f /var/whiteout; mknod /var/whiteout c 0 0",
    )?;
    stage.lab.take_snapshot(&name, &quiet()).map_err(Diagnosed::new)?;
    machine.run_checked("echo after | tee /etc/kept > /var/kept; touch /var/new; rm /var/whiteout")?;
    stage.lab.restore_snapshot(&name, &quiet()).map_err(Diagnosed::new)?;
    machine.run_checked("grep before /etc/kept /var/kept && test -c /var/whiteout && test ! -e /var/new")?;
    machine.run_checked("systemctl is-system-running")?;
    Ok(())
}

fn labs_are_apart(stage: &Stage) -> Result<()> {
    let name = stage.lab.name.beside("2");
    let config = LabConfig { name: name.clone(), machines: 1, archive: None, bootstrap: false };
    let other = TemporaryLab::up(&config).map_err(Diagnosed::new)?;
    ensure!(other.networks.control.subnet != stage.lab.networks.control.subnet, "the same subnet");
    let address = stage.lab.bootstrap()?.control;
    let answer = other.bootstrap()?.run(&format!("timeout 10 bash -c 'true < /dev/tcp/{address}/22'"))?;
    ensure!(!answer.success(), "a machine of another lab reaches {address}");
    // Its end is not the end of what this one has kept.
    let kept: LabName = "kept".parse()?;
    stage.lab.take_snapshot(&kept, &quiet()).map_err(Diagnosed::new)?;
    stage.lab.restore_snapshot(&kept, &quiet()).map_err(Diagnosed::new)?;
    drop(other);
    stage.lab.bootstrap()?.run_checked("true")?;
    stage.lab.restore_snapshot(&kept, &quiet()).map_err(Diagnosed::new)?;
    ensure!(!Lab::list().map_err(Diagnosed::new)?.contains(&name.to_string()), "{name} is still there");
    Ok(())
}

fn down_leaves_nothing(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let mut devices = Vec::new();
    for folder in ["/root", "/var"] {
        let attach = format!("truncate --size 8M {folder}/disk; losetup --find --show {folder}/disk");
        devices.push(machine.run_checked(&attach)?);
    }
    Lab::down(&stage.lab.name, &quiet()).map_err(Diagnosed::new)?;
    let names = Lab::list().map_err(Diagnosed::new)?;
    ensure!(!names.contains(&stage.lab.name.to_string()), "something has its label still");
    for network in [&stage.lab.networks.control, &stage.lab.networks.workload] {
        // The name of a bridge may be in use again, by another lab.
        let mut command = Command::new("ip");
        command.args(["-4", "-oneline", "address", "show", "to", &network.subnet.to_string()]);
        let output = process::capture(&mut command, None, Duration::from_secs(10))?;
        ensure!(
            output.success() && output.stdout.is_empty(),
            "still there: {}{}",
            output.stdout,
            output.stderr
        );
    }
    wait_until("the loop devices to be detached", SOON, || {
        let left: Vec<_> = devices.iter().filter(|device| is_attached_to_disk(device)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })?;
    Ok(())
}

/// A number may be in use again, by somebody else.
fn is_attached_to_disk(device: &str) -> bool {
    let path = format!("/sys/block/{}/loop/backing_file", device.trim_start_matches("/dev/"));
    std::fs::read_to_string(path)
        .is_ok_and(|file| ["/root/disk", "/var/disk"].iter().any(|disk| file.contains(disk)))
}

fn boots(lab: &Lab) -> Result<Vec<String>> {
    lab.machines.iter().map(boot_id).collect()
}

fn boot_id(machine: &Machine) -> Result<String> {
    Ok(machine.run_checked("cat /proc/sys/kernel/random/boot_id")?)
}
