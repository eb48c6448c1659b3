//! What the package managers run on a host: systemd learns of units that come and go.
//!
//! Nothing is started or restarted by an installation or an upgrade: that is the agent's, or a person's.
//! A removal stops and disables the units first, so that nothing runs without its program, and takes along what
//! Python has compiled of modules.

use metalk8s_artifacts::packages::Scripts;

/// In a root folder that is not running there is no systemd to speak to.
const RUNNING: &str = "[ -d /run/systemd/system ]";

/// For `dpkg`, which tells what it does by a word, and which version was there before. Units that are new need no
/// reload, which takes a machine a tenth of a second for each package: systemd looks where it knows none.
///
/// Nothing runs after the removal: because of such a script dpkg would keep the package on its books until it is
/// purged. systemd forgets a unit that is stopped, disabled and gone by itself.
pub(super) fn debian(units: &[String], modules: &[&str]) -> Scripts {
    let scripts = scripts(units, modules, "[ \"$1\" = configure ] && [ -n \"$2\" ]", "[ \"$1\" = remove ]");
    Scripts { after_remove: String::new(), ..scripts }
}

/// For `rpm`, which tells how many of the package will be left.
pub(super) fn redhat(units: &[String], modules: &[&str]) -> Scripts {
    scripts(units, modules, "[ \"$1\" -ge 1 ]", "[ \"$1\" -eq 0 ]")
}

fn scripts(units: &[String], modules: &[&str], installs: &str, removes: &str) -> Scripts {
    let forgotten = forget_compiled(modules);
    let before_remove =
        if forgotten.is_empty() { String::new() } else { format!("if {removes}; then\n{forgotten}fi\n") };
    if units.is_empty() {
        return Scripts { before_remove, ..Scripts::default() };
    }
    let units = units.join(" ");
    let reload = "systemctl daemon-reload || true";
    Scripts {
        after_install: format!("if {installs} && {RUNNING}; then\n  {reload}\nfi\n"),
        before_remove: format!(
            "{before_remove}if {removes}; then\n  \
             if {RUNNING}; then\n    systemctl stop {units} || true\n  fi\n  \
             if [ -x /usr/bin/systemctl ]; then\n    \
             systemctl --no-reload --quiet disable {units} || true\n  fi\nfi\n"
        ),
        after_remove: format!("if {RUNNING}; then\n  {reload}\nfi\n"),
    }
}

/// Python leaves what it has compiled beside the modules when root runs them, and no package manager knows of it
/// (PEP 3147 has the names).
fn forget_compiled(modules: &[&str]) -> String {
    let split = modules.iter().filter_map(|path| path.strip_suffix(".py")?.rsplit_once('/'));
    split
        .map(|(folder, module)| {
            let cache = format!("{folder}/__pycache__");
            format!(
                "  rm --force {cache}/{module}.*.pyc\n  [ ! -d {cache} ] || rmdir --ignore-fail-on-non-empty {cache}\n"
            )
        })
        .collect()
}
