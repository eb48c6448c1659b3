//! Modules of the kernel.

use std::path::{Path, PathBuf};

use metalk8s_engine::{Change, ChangeKind, StateError, state::KernelModule};

use crate::{Host, doing::Doing, grains::capabilities, lines, program::no_option};

/// What parts of the kernel show of themselves: built in, they may be in none of its lists.
const SIGNS: [(&str, &str); 1] = [("br_netfilter", "/proc/sys/net/bridge")];

/// How a module stands.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    BuiltIn,
    Loaded,
    Missing,
}

pub(crate) async fn check(host: &Host, wish: &KernelModule) -> Result<Option<Change>, StateError> {
    match find(host, &wish.name)? {
        Found::BuiltIn => Ok(None),
        Found::Loaded if is_kept(host, wish)? => Ok(None),
        Found::Loaded => {
            Ok(Some(Change::new(ChangeKind::Update, format!("load module {} at boot", wish.name))))
        }
        Found::Missing if wish.optional && !can_load(host, &wish.name).await? => {
            tracing::info!(module = %wish.name, "the kernel does not have the module, going on without");
            Ok(None)
        }
        Found::Missing => Ok(Some(Change::new(ChangeKind::Create, format!("load module {}", wish.name)))),
    }
}

pub(crate) async fn apply(host: &Host, wish: &KernelModule) -> Result<(), StateError> {
    if find(host, &wish.name)? == Found::Missing {
        let doing = || format!("could not load the kernel module `{}`", wish.name);
        host.program("modprobe").arg(no_option(&wish.name).doing(doing)?).run().await.doing(doing)?;
    }
    if find(host, &wish.name)? == Found::BuiltIn {
        return Ok(());
    }
    lines::edit_own(host, &wish.file, |text| {
        lines::with_line(text, &wish.name, |line| names_module(line, &wish.name))
    })?;
    Ok(())
}

fn find(host: &Host, name: &str) -> Result<Found, StateError> {
    let wished = canonical(name);
    let loaded = host.read_text(Path::new("/proc/modules"))?.unwrap_or_default();
    if loaded.lines().any(|line| line.split(' ').next() == Some(&wished)) {
        return Ok(Found::Loaded);
    }
    // What the kernel lists here but not as loaded is part of it.
    if host.exists(&Path::new("/sys/module").join(&wished)) {
        return Ok(Found::BuiltIn);
    }
    let filesystems = host.read_text(Path::new("/proc/filesystems"))?.unwrap_or_default();
    let is_filesystem = filesystems.lines().any(|line| line.split_whitespace().next_back() == Some(&wished));
    if is_filesystem || SIGNS.iter().any(|(name, sign)| *name == wished && host.exists(Path::new(sign))) {
        return Ok(Found::BuiltIn);
    }
    let release = host.read_text(Path::new("/proc/sys/kernel/osrelease"))?.unwrap_or_default();
    let list: PathBuf = ["/lib/modules", release.trim(), "modules.builtin"].iter().collect();
    let built_in = host.read_text(&list)?.unwrap_or_default();
    let listed = built_in.lines().filter_map(|line| line.rsplit('/').next()?.split(".ko").next());
    Ok(if listed.map(canonical).any(|name| name == wished) { Found::BuiltIn } else { Found::Missing })
}

/// Whether loading has a chance: the kernel has the module, and we may load it (in a container we may not).
async fn can_load(host: &Host, name: &str) -> Result<bool, StateError> {
    const CAP_SYS_MODULE: u32 = 16;
    let status = host.read_text(Path::new("/proc/self/status"))?.unwrap_or_default();
    if !capabilities::has(&status, CAP_SYS_MODULE) {
        return Ok(false);
    }
    let doing = || format!("could not ask for the kernel module `{name}`");
    host.program("modprobe")
        .args(["--dry-run", "--quiet"])
        .arg(no_option(name).doing(doing)?)
        .succeeds()
        .await
        .doing(doing)
}

fn is_kept(host: &Host, wish: &KernelModule) -> Result<bool, StateError> {
    let text = host.read_text(&wish.file)?.unwrap_or_default();
    Ok(text.lines().any(|line| names_module(line, &wish.name)))
}

fn names_module(line: &str, name: &str) -> bool {
    canonical(line.trim()) == canonical(name)
}

/// The kernel takes `-` and `_` for the same.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    fn wish(name: &str, optional: bool) -> State {
        let file = "/etc/modules-load.d/metalk8s.conf".into();
        State::KernelModule(KernelModule { name: name.to_owned(), file, optional })
    }

    fn lab() -> Lab {
        let lab = Lab::new();
        lab.file("/proc/modules", "overlay 151552 4 - Live 0x0\n");
        lab.file("/proc/sys/kernel/osrelease", "6.1.0\n");
        lab.file("/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
        lab.file("/lib/modules/6.1.0/modules.builtin", "kernel/net/bridge/br-netfilter.ko\n");
        lab.program(
            "modprobe",
            r#"for last; do :; done
               case "$1" in --dry-run) test "$last" = ip_vs;; *) echo "$last 1 0 -" >> "$ROOT/proc/modules";; esac"#,
        );
        lab
    }

    #[tokio::test]
    async fn modules_are_loaded_and_kept_for_the_next_boot() {
        let lab = lab();
        lab.settles(&wish("overlay", false)).await;
        lab.settles(&wish("ip_vs", true)).await;
        lab.settles(&wish("xt_set", false)).await;
        let expected = format!("{}overlay\nip_vs\nxt_set\n", metalk8s_types::header());
        assert_eq!(lab.text("/etc/modules-load.d/metalk8s.conf"), expected);
    }

    #[tokio::test]
    async fn a_module_that_is_built_in_needs_nothing() {
        let lab = lab();
        lab.file("/sys/module/nf_conntrack/parameters/x", "");
        lab.file("/proc/filesystems", "nodev\tproc\n\txfs\n");
        for name in ["br_netfilter", "nf-conntrack", "xfs"] {
            assert_eq!(lab.check(&wish(name, false)).await.unwrap(), None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_part_that_no_list_has_is_known_by_what_it_shows() {
        let lab = Lab::new();
        lab.program("modprobe", "exit 1");
        assert!(lab.check(&wish("br_netfilter", false)).await.unwrap().is_some());
        lab.file("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
        assert_eq!(lab.check(&wish("br_netfilter", false)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_optional_module_that_cannot_be_loaded_is_no_trouble() {
        let lab = lab();
        assert_eq!(lab.check(&wish("iso9660", true)).await.unwrap(), None);
        lab.file("/proc/self/status", "CapEff:\t0000000000000000\n");
        assert_eq!(lab.check(&wish("ip_vs", true)).await.unwrap(), None);
        assert!(lab.check(&wish("ip_vs", false)).await.unwrap().is_some());
    }
}
