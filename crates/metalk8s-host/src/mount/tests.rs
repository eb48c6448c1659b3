use metalk8s_engine::{State, state::Removed};

use super::*;
use crate::testing::{Lab, chain};

/// mount(8) and umount(8) as far as they change the list of mounts.
const MOUNT: &str = r#"
    while [ $# -gt 2 ]; do case "$1" in -t) type=$2; shift;; -o) options=$2; shift;; esac; shift; done
    case "$type" in
    iso9660) mkdir -p "$ROOT/sys/block/loop7/loop"; echo "$1" > "$ROOT/sys/block/loop7/loop/backing_file"
             echo "1 1 7:7 / $2 ro - iso9660 /dev/loop7 ro" >> "$ROOT/proc/self/mountinfo" ;;
    fuse.fuseiso) echo "1 1 0:9 / $2 ro - fuse ${options##*fsname=} ro" >> "$ROOT/proc/self/mountinfo" ;;
    *) echo "1 1 8:1 / $2 rw - $type $1 rw" >> "$ROOT/proc/self/mountinfo" ;;
    esac"#;
const UMOUNT: &str = r#"for target; do :; done; sed -i "\| $target |d" "$ROOT/proc/self/mountinfo""#;

fn lab(filesystems: &str) -> Lab {
    let lab = Lab::new();
    lab.file("/proc/filesystems", filesystems);
    lab.file("/proc/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/root rw\n");
    lab.file("/etc/fstab", "/dev/root / ext4 defaults 0 1\n");
    lab.program("mount", MOUNT);
    lab.program("umount", UMOUNT);
    lab
}

fn iso(image: &str) -> State {
    State::Mount(Mount {
        source: image.into(),
        target: "/srv/scality/metalk8s-0.1.0".into(),
        fs_type: ISO.to_owned(),
        options: ["ro", "loop", "nofail"].map(str::to_owned).to_vec(),
        persistent: true,
        holds: None,
    })
}

#[tokio::test]
async fn an_image_is_mounted_kept_and_changed_for_another() {
    let lab = lab("nodev\tproc\n\tiso9660\n");
    lab.settles(&iso("/archives/one.iso")).await;
    assert_eq!(
        lab.text("/etc/fstab"),
        "/dev/root / ext4 defaults 0 1\n\
         /archives/one.iso\t/srv/scality/metalk8s-0.1.0\tiso9660\tro,loop,nofail\t0\t0\n"
    );
    let change = lab.settles(&iso("/archives/two.iso")).await;
    assert_eq!(change.before.as_deref(), Some("/archives/one.iso"));
    assert_eq!(lab.text("/etc/fstab").lines().count(), 2);
}

#[tokio::test]
async fn an_image_that_was_replaced_under_its_own_name_is_mounted_again() {
    let lab = lab("\tiso9660\n");
    // What the fake programs mount is always the new one.
    lab.program("mount", &format!("{MOUNT}\necho new > \"$ROOT/srv/scality/metalk8s-0.1.0/build\""));
    lab.settles(&iso("/archives/one.iso")).await;
    lab.file("/srv/scality/metalk8s-0.1.0/build", "old\n");
    let State::Mount(wish) = iso("/archives/one.iso") else { unreachable!() };
    let newer = State::Mount(Mount { holds: Some(("build".into(), "new\n".to_owned())), ..wish });
    let change = lab.settles(&newer).await;
    assert_eq!(
        change.summary,
        "mount /archives/one.iso at /srv/scality/metalk8s-0.1.0 again: other contents are there"
    );
    let calls = lab.calls();
    assert!(calls.contains(&"umount --lazy /srv/scality/metalk8s-0.1.0".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn a_kernel_that_cannot_read_images_is_helped_by_fuse() {
    let lab = lab("nodev\tproc\n");
    lab.program("fuseiso", "");
    lab.settles(&iso("/archives/one.iso")).await;
    lab.settles(&iso("/archives/two.iso")).await;
    assert!(
        lab.text("/etc/fstab").contains("\tfuse.fuseiso\tro,allow_other,nofail,fsname=/archives/two.iso\t"),
        "{}",
        lab.text("/etc/fstab")
    );
}

#[tokio::test]
async fn a_host_that_cannot_read_images_at_all_says_so() {
    let lab = lab("nodev\tproc\n");
    let Change { .. } = lab.check(&iso("/one.iso")).await.unwrap().unwrap();
    let State::Mount(wish) = iso("/one.iso") else { unreachable!() };
    let err = apply(&lab.host, &wish).await.unwrap_err();
    assert!(chain(&err).contains("`fuseiso`, which could, is not installed"), "{}", chain(&err));
}

#[tokio::test]
async fn under_systemd_its_own_unit_mounts() {
    let lab = lab("\tiso9660\n");
    lab.file("/run/systemd/system/x", "");
    lab.program("systemd-escape", "echo srv-scality.mount");
    lab.program(
        "systemctl",
        r#"test "$1" = start && "$(dirname "$0")/mount" -t iso9660 /a.iso /srv/scality/metalk8s-0.1.0 || true"#,
    );
    // As a killed run leaves it: in fstab, but not read by systemd.
    lab.file("/etc/fstab", "/a.iso\t/srv/scality/metalk8s-0.1.0\tiso9660\tro,loop,nofail\t0\t0\n");
    lab.settles(&iso("/a.iso")).await;
    let calls: Vec<String> = lab.calls().into_iter().filter(|call| call.starts_with("systemctl")).collect();
    assert_eq!(calls, ["systemctl daemon-reload", "systemctl start srv-scality.mount"]);
}

#[tokio::test]
async fn a_disk_is_mounted_without_a_line_where_none_is_wished() {
    let lab = lab("");
    let wish = Mount {
        source: "/dev/vdb".into(),
        target: "/data".into(),
        fs_type: "xfs".to_owned(),
        options: Vec::new(),
        persistent: false,
        holds: None,
    };
    lab.settles(&State::Mount(wish)).await;
    assert_eq!(lab.text("/etc/fstab").lines().count(), 1);
}

#[tokio::test]
async fn what_is_not_wanted_is_unmounted_and_forgotten_where_that_is_wished() {
    let lab = lab("\tiso9660\n");
    lab.program("umount", r#"sed -i "0,\\| $1 |{\\| $1 |d}" "$ROOT/proc/self/mountinfo""#);
    lab.settles(&iso("/one.iso")).await;
    let layers = lab.text("/proc/self/mountinfo");
    lab.file(
        "/proc/self/mountinfo",
        &format!("{layers}9 9 8:9 / /srv/scality/metalk8s-0.1.0 rw - ext4 /dev/sdx rw\n"),
    );
    let wish =
        |forget| State::Removed(Removed::Mount { target: "/srv/scality/metalk8s-0.1.0".into(), forget });
    lab.settles(&wish(false)).await;
    assert_eq!(lab.text("/etc/fstab").lines().count(), 2);
    let change = lab.settles(&wish(true)).await;
    assert_eq!(change.summary, "no longer mount at boot /srv/scality/metalk8s-0.1.0");
    assert_eq!(lab.text("/etc/fstab"), "/dev/root / ext4 defaults 0 1\n");
    assert_eq!(lab.calls().iter().filter(|call| call.starts_with("umount")).count(), 2);
}
