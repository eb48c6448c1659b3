use metalk8s_engine::{Hands, State, state::Removed};

use super::*;
use crate::testing::{Lab, chain};

/// dpkg and apt of a host whose packages stand in a file, with a repository that stands in another.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.file("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    lab.file("/etc/apt/sources.list.d/ours.sources", "Types: deb\n");
    lab.file("/fake/installed", "adduser\tii \t3.134\nremoved\trc \t1\n");
    lab.file("/fake/offered", "kubelet | 1.35.4 | file:/srv bookworm/main amd64 Packages\n");
    lab.program("dpkg-query", r#"cat "$ROOT/fake/installed""#);
    lab.program(
        "dpkg",
        r#"sed -i 's/iF /ii /' "$ROOT/fake/installed"; rm -f "$ROOT"/var/lib/dpkg/updates/*"#,
    );
    lab.program("apt-cache", r#"if test -e "$ROOT/fake/updated"; then cat "$ROOT/fake/offered"; fi"#);
    lab.program(
        "apt-get",
        r#"case " $* " in *" update "*) touch "$ROOT/fake/updated"; exit;; esac
           for arg; do case "$arg" in -*|*::*) ;; *=*)
               sed -i "/^${arg%%=*}\t/d" "$ROOT/fake/installed"
               printf '%s\tii \t%s\n' "${arg%%=*}" "${arg#*=}" >> "$ROOT/fake/installed" ;;
           esac; done"#,
    );
    lab.program(
        "apt-mark",
        r#"shift; for name; do sed -i "s/^$name\tii /$name\thi /" "$ROOT/fake/installed"; done"#,
    );
    lab
}

fn wish(version: &str) -> Packages {
    Packages {
        packages: [("kubelet".to_owned(), Some(version.to_owned()))].into(),
        hold: true,
        only_from: vec!["ours".to_owned()],
    }
}

fn calls(lab: &Lab, what: &str) -> usize {
    lab.calls().iter().filter(|call| call.contains(what)).count()
}

#[tokio::test]
async fn a_package_is_installed_from_the_named_repository_alone_and_held() {
    let lab = lab();
    lab.settles(&State::Packages(wish("1.35.4"))).await;
    let calls = lab.calls();
    let install = calls.iter().find(|call| call.contains(" install ")).unwrap();
    for part in [
        "Dir::Etc::SourceList=/dev/null",
        "/var/lib/metalk8s/apt/ours/sources",
        "--no-install-recommends",
        "DPkg::Lock::Timeout=120",
        "kubelet=1.35.4",
    ] {
        assert!(install.contains(part), "{part} in {install}");
    }
    assert_eq!(lab.names("/var/lib/metalk8s/apt/ours/sources"), ["ours.sources"]);
}

#[tokio::test]
async fn lists_are_read_again_only_when_the_repository_changed_or_lacks_something() {
    let lab = lab();
    lab.settles(&State::Packages(wish("1.35.4"))).await;
    assert_eq!(calls(&lab, " update"), 1);
    lab.file("/fake/offered", "kubelet | 1.34.0 | x\nkubelet | 1.35.4 | x\n");
    lab.settles(&State::Packages(wish("1.34.0"))).await;
    assert_eq!(calls(&lab, " update"), 1);
    lab.file("/etc/apt/sources.list.d/ours.sources", "Types: deb\nURIs: file:///other\n");
    lab.settles(&State::Packages(wish("1.35.4"))).await;
    assert_eq!(calls(&lab, " update"), 2);
}

#[tokio::test]
async fn a_version_that_nobody_offers_is_named_with_the_repositories() {
    let lab = lab();
    let state = State::Packages(wish("9.9"));
    let change = lab.check(&state).await.unwrap().unwrap();
    let err = lab.host.apply(&state, &change).await.unwrap_err();
    assert_eq!(err.to_string(), "none of the repositories `ours` offers `kubelet=9.9`");
    assert_eq!(calls(&lab, " install "), 0);
}

#[tokio::test]
async fn what_was_installed_for_removed_packages_alone_goes_too_and_what_nobody_needed_before_stays() {
    let lab = lab();
    lab.file("/fake/installed", "kubelet\tii \t1\nebtables\tii \t1\nold\tii \t1\n");
    lab.program(
        "apt-get",
        r#"case " $* " in
           *" --simulate autoremove "*) echo 'Remv old [1]';;
           *" --simulate "*) printf 'Reading\nPurg kubelet [1]\nPurg ebtables [1]\nPurg old [1]\n';;
           *) sed -i '/^kubelet\t/d' "$ROOT/fake/installed";;
           esac"#,
    );
    lab.file("/var/cache/apt/archives/ebtables_2.0-1_amd64.deb", "");
    lab.file("/var/cache/apt/archives/old_1_amd64.deb", "");
    let names = ["kubelet".to_owned()].into();
    lab.settles(&State::Removed(Removed::Packages { names, purge: true, unneeded: true })).await;
    let calls = lab.calls();
    let last = calls.iter().rfind(|call| call.starts_with("apt-get")).unwrap();
    assert!(last.ends_with(" kubelet ebtables"), "{last}");
    let kept = |file: &str| lab.path("/var/cache/apt/archives").join(file).exists();
    assert!(!kept("ebtables_2.0-1_amd64.deb") && kept("old_1_amd64.deb"));
}

#[tokio::test]
async fn a_package_that_is_not_wanted_is_removed_with_its_configuration_only_when_purged() {
    let lab = lab();
    lab.program(
        "apt-get",
        r#"case " $* " in *" purge "*) sed -i '/^adduser\t/d' "$ROOT/fake/installed";;
           *" remove "*) sed -i 's/^adduser\tii /adduser\trc /' "$ROOT/fake/installed";; esac"#,
    );
    let wish = |purge| {
        let names = ["adduser".to_owned(), "nonesuch".to_owned()].into();
        State::Removed(Removed::Packages { names, purge, unneeded: false })
    };
    assert_eq!(lab.settles(&wish(false)).await.summary, "remove adduser");
    assert_eq!(lab.settles(&wish(true)).await.summary, "purge adduser");
    assert_eq!(calls(&lab, " update"), 0);
    let pattern = Removed::Packages { names: ["a*".to_owned()].into(), purge: false, unneeded: false };
    assert!(lab.check(&State::Removed(pattern)).await.is_err());
}

#[tokio::test]
async fn an_unknown_repository_is_an_error_that_names_its_file() {
    let lab = lab();
    let wish = Packages { only_from: vec!["theirs".to_owned()], ..wish("1.35.4") };
    let err = super::super::apply(&lab.host, &wish).await.unwrap_err();
    assert!(chain(&err).contains("`/etc/apt/sources.list.d/theirs.sources` does not exist"), "{err}");
}

#[tokio::test]
async fn an_interrupted_dpkg_is_repaired_first() {
    let lab = lab();
    lab.file("/fake/installed", "kubelet\tiF \t1.35.4\n");
    lab.file("/var/lib/dpkg/updates/0001", "");
    lab.settles(&State::Packages(wish("1.35.4"))).await;
    assert_eq!((calls(&lab, "dpkg --configure -a"), calls(&lab, " install ")), (1, 0));
}

#[test]
fn lines_of_dpkg_are_read() {
    // Captured on Debian 12: whole, held, removed with its configuration left, half installed, triggers
    // pending, and one package in two architectures.
    let text = "adduser\tii \t3.134\nkubelet\thi \t1.35.4-1\nold\trc \t1\nhalf\tiHR\t2\ntrig\tit \t3\n\
                libc6\tiU \t2.36-9\nlibc6\tii \t2.36-9+deb12u7\n";
    let found = parse_installed(text);
    let is =
        |name: &str| found.get(name).map(|package| (&*package.versions[0], package.held, package.broken));
    assert_eq!(is("adduser"), Some(("3.134", false, false)));
    assert_eq!(is("kubelet"), Some(("1.35.4-1", true, false)));
    assert_eq!(is("old"), None);
    assert_eq!(is("half"), Some(("2", false, true)));
    assert_eq!(is("trig"), Some(("3", false, false)));
    assert_eq!(is("libc6"), Some(("2.36-9+deb12u7", false, false)));
}

#[test]
fn lines_of_madison_are_read() {
    let text = " conntrack | 1:1.4.7-1+b2 | http://mirror.invalid/debian bookworm/main amd64 Packages\n\
                 socat | 1.7.4.4-2 | file:/srv/x bookworm/main amd64 Packages\nN: Unable to locate package y\n";
    let offered = parse_offered(text);
    assert!(offered.contains(&("conntrack".to_owned(), "1:1.4.7-1+b2".to_owned())));
    assert_eq!(offered.len(), 2);
}
