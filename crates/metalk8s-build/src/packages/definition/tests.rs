use tempfile::TempDir;

use super::*;

const PACKAGE: &str = r#"
component = "runc"
release = 2
summary = "a package of a test"
description = "One line."
units = ["runc.service"]
directories = ["/var/lib/runc"]

[debian]
depends = ["other (= {version})", "socat"]

[redhat]
depends = ["other = {version}"]

[[files]]
program = "runc"
path = "/opt/runc/bin/runc"

[[files]]
config = "runc.conf"
path = "/etc/runc.conf"

[[files]]
data = "plugin.py"
path = "/usr/lib/python3/sos/plugin.py"
family = "debian"

[[files]]
data = "table"
path = "/usr/share/table"

[[links]]
path = "/usr/bin/runc"
target = "../../opt/runc/bin/runc"
"#;

fn folder(package: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("runc")).unwrap();
    fs::write(folder.path().join("runc/package.toml"), package).unwrap();
    let hosts = "[[debian]]\ncodename = \"bookworm\"\nalso = [\"nftables\"]\n[[redhat]]\nmajor = 9\n";
    fs::write(folder.path().join("hosts.toml"), hosts).unwrap();
    folder
}

fn versions() -> Versions {
    toml::from_str(
        "[product]\nname = \"MetalK8s\"\nversion = \"0.1.0\"\n[go]\nversion = \"1.26.8\"\n\
         [components.runc]\nversion = \"1.5.2\"\nlicense = \"Apache-2.0\"\nsource = \"example/runc\"\nprograms = {}\n",
    )
    .unwrap()
}

fn package(family: Family) -> Package {
    let folder = folder(PACKAGE);
    let programs = BTreeMap::from([("runc".to_owned(), PathBuf::from("/built/runc"))]);
    let definitions = Definitions::read(folder.path()).unwrap();
    definitions.packages(family, &versions(), &programs).unwrap().remove(0)
}

#[test]
fn the_component_gives_version_and_licence() {
    let package = package(Family::Debian);
    assert_eq!((package.full_version().as_str(), package.license.as_str()), ("1.5.2-2", "Apache-2.0"));
}

#[test]
fn each_family_gets_its_own_relations_with_the_version_filled_in() {
    assert_eq!(package(Family::Debian).relations.depends, ["other (= 1.5.2-2)", "socat"]);
    assert_eq!(package(Family::Redhat).relations.depends, ["other = 1.5.2-2"]);
}

#[test]
fn folders_that_only_we_use_belong_to_the_package() {
    let package = package(Family::Redhat);
    let paths: Vec<(&str, char)> = package
        .entries
        .iter()
        .map(|entry| {
            let kind = match &entry.kind {
                EntryKind::Directory { .. } => 'd',
                EntryKind::Link { .. } => 'l',
                EntryKind::File { config: true, .. } => 'c',
                EntryKind::File { config: false, .. } => 'f',
            };
            (entry.path.as_str(), kind)
        })
        .collect();
    assert_eq!(
        paths,
        [
            ("/etc/runc.conf", 'c'),
            ("/opt/runc", 'd'),
            ("/opt/runc/bin", 'd'),
            ("/opt/runc/bin/runc", 'f'),
            ("/usr/bin/runc", 'l'),
            ("/usr/lib/systemd/system/runc.service", 'f'),
            ("/usr/share/doc/runc", 'd'),
            ("/usr/share/doc/runc/copyright", 'f'),
            ("/usr/share/table", 'f'),
            ("/var/lib/runc", 'd'),
        ]
    );
}

#[test]
fn a_file_of_one_family_is_not_in_the_package_of_the_other() {
    let has = |family| package(family).entries.iter().any(|entry| entry.path.ends_with("plugin.py"));
    assert!(has(Family::Debian) && !has(Family::Redhat));
}

#[test]
fn what_python_compiled_goes_before_its_module() {
    let removal = package(Family::Debian).scripts.before_remove;
    let folder = "/usr/lib/python3/sos/__pycache__";
    assert!(removal.contains(&format!("rm --force {folder}/plugin.*.pyc\n")), "{removal}");
    assert!(removal.find("plugin.*.pyc") < removal.find("systemctl stop runc.service"), "{removal}");
    assert!(!package(Family::Redhat).scripts.before_remove.contains("pyc"));
}

#[test]
fn foreign_dependencies_are_what_no_definition_names() {
    let folder = folder(PACKAGE);
    let definitions = Definitions::read(folder.path()).unwrap();
    let foreign = definitions.foreign_dependencies(&definitions.hosts.debian[0]);
    assert_eq!(foreign.into_iter().collect::<Vec<_>>(), ["nftables", "other", "socat"]);
}

#[test]
fn a_key_that_is_none_is_refused_with_its_file() {
    let folder = folder(&PACKAGE.replace("release", "relaese"));
    let error = format!("{:#}", Definitions::read(folder.path()).unwrap_err());
    assert!(error.contains("runc/package.toml") && error.contains("relaese"), "{error}");
}

#[test]
fn a_component_that_the_table_lacks_is_named() {
    let folder = folder(&PACKAGE.replace("component = \"runc\"", "component = \"crun\""));
    let definitions = Definitions::read(folder.path()).unwrap();
    let error = definitions.packages(Family::Debian, &versions(), &BTreeMap::new()).unwrap_err();
    let expected =
        "could not define the package `runc`: there is no component `crun` in the table of versions";
    assert_eq!(format!("{error:#}"), expected);
}
