//! Packages of the Red Hat family: rpm and dnf.

use std::{collections::BTreeMap, path::Path};

use metalk8s_engine::{StateError, state::Packages};

use super::{Installed, Turn, Wanted, checked_names, decide, transaction};
use crate::{Host, doing::Doing, lines, program::Program, repository::checked_name};

const QUERY: &str = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}\\t%{RELEASE}\\n";
/// The place that every host has: the plugin that locks versions is not on minimal ones.
const CONFIGURATION: &str = "/etc/dnf/dnf.conf";

pub(super) async fn installed(
    host: &Host,
    wish: &Packages,
) -> Result<BTreeMap<String, Installed>, StateError> {
    checked_names(wish)?;
    // It ends with the number of packages that are not installed, which is no failure.
    let output = host
        .program("rpm")
        .args(["--query", "--queryformat", QUERY])
        .args(wish.packages.keys())
        .output()
        .await
        .doing(|| "could not ask which packages are installed".to_owned())?;
    let held = excluded(&host.read_text(Path::new(CONFIGURATION))?.unwrap_or_default());
    let mut found = parse_installed(&output.stdout);
    for (name, package) in &mut found {
        package.held = held.contains(name);
    }
    Ok(found)
}

/// All packages of the host.
pub(super) async fn all(host: &Host) -> Result<BTreeMap<String, Installed>, StateError> {
    let program = host.program("rpm").args(["--query", "--all", "--queryformat", QUERY]);
    let output = program.run().await.doing(|| "could not ask which packages are installed".to_owned())?;
    Ok(parse_installed(&output.stdout))
}

pub(super) async fn apply(host: &Host, wish: &Packages, turn: &Turn) -> Result<(), StateError> {
    let plan = decide(wish, &installed(host, wish).await?);
    if !plan.install.is_empty() {
        install(host, wish, &plan.install, turn).await?;
    }
    if !plan.hold.is_empty() {
        lines::edit(host, Path::new(CONFIGURATION), |text| excluding(text, &plan.hold))?;
    }
    Ok(())
}

/// Removes packages that are there, and what depends on them.
/// What nobody else needs goes too where it is `unneeded`: dnf knows what was installed for these alone.
pub(super) async fn remove(
    host: &Host,
    names: &[String],
    unneeded: bool,
    turn: &Turn,
) -> Result<(), StateError> {
    let options = if unneeded { &["--setopt", "clean_requirements_on_remove=True"][..] } else { &[] };
    let program = host
        .program("dnf")
        .args(["--assumeyes", "--disableexcludes=main"])
        .args(options)
        .arg("remove")
        .args(names);
    let doing = || format!("could not remove {}", names.join(" "));
    transaction(program, turn).await.doing(doing).map_err(StateError::retryable)?;
    Ok(())
}

async fn install(host: &Host, wish: &Packages, wanted: &[Wanted], turn: &Turn) -> Result<(), StateError> {
    let arguments: Vec<String> = wanted.iter().map(argument).collect();
    let doing = || format!("could not install {}", arguments.join(" "));
    let first = transaction(dnf(host, wish)?.arg("install").args(&arguments), turn).await;
    if first.is_ok() {
        return Ok(());
    }
    // What dnf remembers of the repositories may be older than they are.
    let second = transaction(dnf(host, wish)?.args(["install", "--refresh"]).args(&arguments), turn).await;
    second.doing(doing).map_err(StateError::retryable)?;
    Ok(())
}

fn dnf(host: &Host, wish: &Packages) -> Result<Program, StateError> {
    let mut program = host
        .program("dnf")
        .args(["--assumeyes", "--setopt=install_weak_deps=False"])
        // Our own holds must not keep us from moving what they hold.
        .arg("--disableexcludes=main");
    if !wish.only_from.is_empty() {
        program = program.arg("--disablerepo=*");
    }
    for name in &wish.only_from {
        checked_name(name)?;
        program = program.arg(format!("--enablerepo={name}"));
    }
    Ok(program)
}

fn argument(wanted: &Wanted) -> String {
    match &wanted.version {
        // dnf goes up or down to an exact version.
        Some(version) => format!("{}-{version}", wanted.name),
        None => wanted.name.clone(),
    }
}

fn parse_installed(text: &str) -> BTreeMap<String, Installed> {
    let mut packages: BTreeMap<String, Installed> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[name, epoch, version, release] = &fields[..] else { continue };
        let entry = packages.entry(name.to_owned()).or_insert_with(|| Installed {
            versions: Vec::new(),
            held: false,
            broken: false,
        });
        entry.versions.extend([
            version.to_owned(),
            format!("{epoch}:{version}"),
            format!("{epoch}:{version}-{release}"),
            format!("{version}-{release}"),
        ]);
    }
    packages
}

/// Names that dnf leaves out (`excludepkgs`, or `exclude` as it was called before).
fn excluded(configuration: &str) -> Vec<String> {
    configuration
        .lines()
        .filter_map(exclude_list)
        .flat_map(|list| list.split([',', ' ', '\t']).filter(|name| !name.is_empty()).map(str::to_owned))
        .collect()
}

fn exclude_list(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    matches!(key.trim(), "excludepkgs" | "exclude").then_some(value)
}

fn excluding(configuration: &str, names: &[String]) -> String {
    let names = names.join(" ");
    let mut lines: Vec<String> = configuration.lines().map(str::to_owned).collect();
    if let Some(line) = lines.iter_mut().find(|line| exclude_list(line).is_some()) {
        *line = format!("{} {names}", line.trim_end());
    } else {
        let main = lines.iter().position(|line| line.trim() == "[main]");
        let place = main.unwrap_or_else(|| {
            lines.insert(0, "[main]".to_owned());
            0
        });
        lines.insert(place + 1, format!("excludepkgs={names}"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    fn lab() -> Lab {
        let lab = Lab::new();
        lab.file("/etc/os-release", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n");
        lab.file("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n");
        lab.file("/fake/installed", "");
        lab.program("rpm", r#"cat "$ROOT/fake/installed"; exit 1"#);
        lab.program(
            "dnf",
            r#"for last; do :; done
               printf 'kubelet\t0\t%s\t1.el9\n' "${last#kubelet-}" > "$ROOT/fake/installed""#,
        );
        lab
    }

    #[tokio::test]
    async fn a_package_is_installed_from_the_named_repository_alone_and_held() {
        let lab = lab();
        let wish = |version: &str| {
            State::Packages(Packages {
                packages: [("kubelet".to_owned(), Some(version.to_owned()))].into(),
                hold: true,
                only_from: vec!["ours".to_owned()],
            })
        };
        lab.settles(&wish("1.35.4")).await;
        lab.settles(&wish("1.34.0")).await;
        assert_eq!(lab.text("/etc/dnf/dnf.conf"), "[main]\nexcludepkgs=kubelet\ngpgcheck=1\n");
        let calls = lab.calls();
        let install = calls.iter().find(|call| call.starts_with("dnf ")).unwrap();
        assert!(install.contains("--disablerepo=* --enablerepo=ours install kubelet-1.35.4"), "{install}");
    }

    #[tokio::test]
    async fn a_package_that_is_not_wanted_is_removed() {
        let lab = lab();
        lab.file("/fake/installed", "telnet\t0\t0.17\t1.el9\n");
        lab.program("dnf", r#": > "$ROOT/fake/installed""#);
        let names = [String::from("telnet")].into();
        lab.settles(&State::Removed(Removed::Packages { names, purge: true, unneeded: false })).await;
        assert!(lab.calls().contains(&"dnf --assumeyes --disableexcludes=main remove telnet".to_owned()));
    }

    #[test]
    fn a_version_may_be_wished_for_with_or_without_its_release() {
        let text = "bash\t0\t5.1.8\t9.el9\npackage kubelet is not installed\nbind\t32\t9.16.23\t18.el9\n";
        let found = parse_installed(text);
        assert_eq!(found.len(), 2);
        for version in ["5.1.8", "5.1.8-9.el9", "0:5.1.8-9.el9"] {
            assert!(found["bash"].versions.iter().any(|known| known == version), "{version}");
        }
        assert!(found["bind"].versions.contains(&"32:9.16.23-18.el9".to_owned()));
    }

    #[test]
    fn holds_join_those_that_are_there() {
        let names = ["b".to_owned(), "c".to_owned()];
        for (before, after) in [
            ("[main]\nexclude=a*\nx=1\n", "[main]\nexclude=a* b c\nx=1\n"),
            ("[main]\nx=1\n", "[main]\nexcludepkgs=b c\nx=1\n"),
            ("", "[main]\nexcludepkgs=b c\n"),
        ] {
            assert_eq!(excluding(before, &names), after);
            assert!(names.iter().all(|name| excluded(after).contains(name)), "{after}");
        }
    }
}
