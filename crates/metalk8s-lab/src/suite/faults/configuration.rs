//! Configurations that are none.

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths::BOOTSTRAP_CONFIG;

use super::{
    bare_machine,
    refusal::{Refusal, Untouched},
};
use crate::{
    install,
    suite::{Stage, cluster::bootstrap_sh},
};

pub(super) fn wrong_ones(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let right = install::configuration(&stage.lab);
    let with = |from: &str, to: &str| right.replace(from, to).into_bytes();
    let control = stage.lab.networks.control.subnet.to_string();
    let binary =
        (0..4096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>();
    let huge = vec![b'#'; 8 << 20];
    machine.run_checked(&format!("rm {BOOTSTRAP_CONFIG}"))?;
    let untouched = Untouched::of(machine)?;
    for (what, contents, code, name) in [
        ("empty", Vec::new(), "MK1102", "the file is empty"),
        ("binary", binary, "MK1102", "UTF-8"),
        ("no YAML", with("networks:", "networks: ["), "MK1102", "bootstrap.yaml:"),
        ("huge", huge, "MK1109", BOOTSTRAP_CONFIG),
        ("of another kind", with("kind: BootstrapConfiguration", "kind: Pod"), "MK1107", "Pod"),
        ("with a key nobody knows", with("networks:", "netwerks:"), "MK1104", "netwerks"),
        ("without archives", with("archives:\n  - /archives/metalk8s.iso\n", ""), "MK1103", "archives"),
        ("with a range that is none", with(&control, "198.18.300.0/24"), "MK1105", "198.18.300.0/24"),
        ("with a relative path", with("- /archives", "- archives"), "MK1108", "archives/metalk8s.iso"),
        (
            "with an archive that is not there",
            with("metalk8s.iso", "other.iso"),
            "MK1301",
            "/archives/other.iso",
        ),
        ("for another machine", with("minion: bootstrap", "minion: somebody"), "MK1105", "somebody"),
    ] {
        machine.write(BOOTSTRAP_CONFIG, &contents, 0o644)?;
        let digest = || machine.run_checked(&format!("sha256sum {BOOTSTRAP_CONFIG}"));
        let written = digest()?;
        let output = bootstrap_sh(machine, "")?;
        Refusal { code, names: &[name] }.is(&output).with_context(|| format!("one that is {what}"))?;
        ensure!(digest()? == written, "one that is {what} was changed");
    }
    machine.run_checked(&format!("rm {BOOTSTRAP_CONFIG}"))?;
    let output = bootstrap_sh(machine, "")?;
    Refusal { code: "MK1101", names: &[BOOTSTRAP_CONFIG] }.is(&output).context("one that is missing")?;
    untouched.is_as_before(&[])
}
