//! Users and groups of the host.
//!
//! They are read from /etc/passwd and /etc/group: a statically linked program has no other name service,
//! and the system accounts that states name are always there.

use std::{fs, io, path::Path};

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Group, User},
};

use crate::{
    Host,
    doing::Doing,
    program::{Program, no_option},
};

/// The files that are locked while an account is made.
const DATABASES: [&str; 6] = ["passwd", "shadow", "group", "gshadow", "subuid", "subgid"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

pub(crate) fn check_user(host: &Host, wish: &User) -> Result<Option<Change>, StateError> {
    let Some(account) = account(host, &wish.name)? else {
        return Ok(Some(Change::new(ChangeKind::Create, format!("create user {}", wish.name))));
    };
    let group = gid(host, &wish.group)?;
    let differs = user_differences(wish, group, &account);
    Ok((!differs.is_empty()).then(|| {
        Change::new(ChangeKind::Update, format!("change {} of user {}", differs.join(", "), wish.name))
    }))
}

pub(crate) async fn apply_user(host: &Host, wish: &User) -> Result<(), StateError> {
    let exists = account(host, &wish.name)?.is_some();
    let program = if exists {
        host.program("usermod")
    } else {
        // A user that owns files of a service is of the system's range unless a number is asked for.
        host.program("useradd")
            .args(["--no-create-home", "--no-user-group"])
            .args(wish.uid.is_none_or(|uid| uid < 1_000).then_some("--system"))
    };
    let program = with_number(program, "--uid", wish.uid)
        .args(["--gid", &wish.group])
        .arg(if exists { "--home" } else { "--home-dir" })
        .arg(&wish.home)
        .arg("--shell")
        .arg(&wish.shell);
    run(host, program, &wish.name).await.doing(|| format!("could not make user `{}`", wish.name))
}

pub(crate) fn check_group(host: &Host, wish: &Group) -> Result<Option<Change>, StateError> {
    Ok(match (gid(host, &wish.name)?, wish.gid) {
        (None, _) => Some(Change::new(ChangeKind::Create, format!("create group {}", wish.name))),
        (Some(is), Some(wished)) if is != wished => Some(Change::new(
            ChangeKind::Update,
            format!("change the number of group {} from {is} to {wished}", wish.name),
        )),
        (Some(_), _) => None,
    })
}

pub(crate) async fn apply_group(host: &Host, wish: &Group) -> Result<(), StateError> {
    let program = if gid(host, &wish.name)?.is_some() {
        host.program("groupmod")
    } else {
        host.program("groupadd").args(wish.gid.is_none_or(|gid| gid < 1_000).then_some("--system"))
    };
    run(host, with_number(program, "--gid", wish.gid), &wish.name)
        .await
        .doing(|| format!("could not make group `{}`", wish.name))
}

pub(crate) fn check_no_user(host: &Host, name: &str) -> Result<Option<Change>, StateError> {
    let there = account(host, name)?.is_some();
    Ok(there.then(|| Change::new(ChangeKind::Remove, format!("remove user {name}"))))
}

pub(crate) async fn remove_user(host: &Host, name: &str, home: bool) -> Result<(), StateError> {
    let program = host.program("userdel").args(home.then_some("--remove"));
    run(host, program, name).await.doing(|| format!("could not remove user `{name}`"))
}

pub(crate) fn check_no_group(host: &Host, name: &str) -> Result<Option<Change>, StateError> {
    let text = host.read_text(Path::new("/etc/group"))?.unwrap_or_default();
    let there = find_group(&text, name).is_some();
    Ok(there.then(|| Change::new(ChangeKind::Remove, format!("remove group {name}"))))
}

pub(crate) async fn remove_group(host: &Host, name: &str) -> Result<(), StateError> {
    run(host, host.program("groupdel"), name).await.doing(|| format!("could not remove group `{name}`"))
}

/// The number of a user, by name or already as a number; `None` where there is no such user.
pub(crate) fn uid(host: &Host, name: &str) -> Result<Option<u32>, StateError> {
    if name == "root" {
        return Ok(Some(0));
    }
    Ok(account(host, name)?.map(|account| account.uid).or_else(|| name.parse().ok()))
}

/// The number of a group, by name or already as a number; `None` where there is no such group.
pub(crate) fn gid(host: &Host, name: &str) -> Result<Option<u32>, StateError> {
    if name == "root" {
        return Ok(Some(0));
    }
    let text = host.read_text(Path::new("/etc/group"))?.unwrap_or_default();
    Ok(find_group(&text, name).or_else(|| name.parse().ok()))
}

fn account(host: &Host, name: &str) -> Result<Option<Account>, StateError> {
    let text = host.read_text(Path::new("/etc/passwd"))?.unwrap_or_default();
    Ok(text.lines().filter_map(parse_account).find(|account| account.name == name))
}

fn parse_account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn find_group(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

fn user_differences(wish: &User, group: Option<u32>, account: &Account) -> Vec<&'static str> {
    let mut differs = Vec::new();
    if wish.uid.is_some_and(|uid| uid != account.uid) {
        differs.push("number");
    }
    if group != Some(account.gid) {
        differs.push("group");
    }
    if wish.home != Path::new(&account.home) {
        differs.push("home");
    }
    if wish.shell != Path::new(&account.shell) {
        differs.push("shell");
    }
    differs
}

fn with_number(program: Program, option: &str, number: Option<u32>) -> Program {
    match number {
        Some(number) => program.arg(option).arg(number.to_string()),
        None => program,
    }
}

async fn run(
    host: &Host,
    program: Program,
    name: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    program.arg(no_option(name)?).left_alone().run().await?;
    forget_locks(host)?;
    Ok(())
}

/// Removes what such programs leave behind when they are killed while they ask for a lock: files such as
/// `/etc/passwd.1336`, called after a process that does not run any more (shadow, `commonio_lock`).
fn forget_locks(host: &Host) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for entry in fs::read_dir(host.real(Path::new("/etc"))?)? {
        let entry = entry?;
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('.'));
        let Some((database, process)) = parts else { continue };
        let is_lock = DATABASES.contains(&database) && process.parse::<u32>().is_ok();
        if is_lock && !host.real(&Path::new("/proc").join(process))?.exists() {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    /// What useradd and usermod do to /etc/passwd, as far as our calls of them go.
    const USERADD: &str = r#"
        while [ $# -gt 1 ]; do case "$1" in
            --gid) gid=$(grep "^$2:" "$ROOT/etc/group" | cut -d: -f3); shift ;;
            --uid) uid=$2; shift ;;
            --home|--home-dir) home=$2; shift ;;
            --shell) shell=$2; shift ;;
        esac; shift; done
        sed -i "/^$1:/d" "$ROOT/etc/passwd"
        echo "$1:x:${uid:-999}:$gid::$home:$shell" >> "$ROOT/etc/passwd""#;

    fn wish() -> User {
        User {
            name: "etcd".to_owned(),
            uid: Some(900),
            group: "etcd".to_owned(),
            home: "/var/lib/etcd".into(),
            shell: "/usr/sbin/nologin".into(),
        }
    }

    #[tokio::test]
    async fn a_user_and_its_group_are_made_once_and_then_found() {
        let lab = Lab::new();
        lab.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        lab.file("/etc/group", "root:x:0:\n");
        lab.program("groupadd", r#"for last; do :; done; echo "$last:x:900:" >> "$ROOT/etc/group""#);
        lab.program("useradd", USERADD);
        lab.program("usermod", USERADD);

        lab.settles(&State::Group(Group { name: "etcd".to_owned(), gid: Some(900) })).await;
        lab.settles(&State::User(wish())).await;
        lab.settles(&State::User(User { shell: "/bin/sh".into(), ..wish() })).await;
    }

    #[tokio::test]
    async fn locks_of_programs_that_were_killed_go_and_those_of_others_stay() {
        let lab = Lab::new();
        lab.file("/etc/group", "root:x:0:\n");
        lab.program("groupadd", r#"for last; do :; done; echo "$last:x:900:" >> "$ROOT/etc/group""#);
        for name in ["passwd.1336", "group.7", "passwd.old", "motd.1336", "passwd.lock"] {
            lab.file(&format!("/etc/{name}"), "");
        }
        lab.file("/proc/7/stat", "");
        lab.settles(&State::Group(Group { name: "etcd".to_owned(), gid: Some(900) })).await;
        assert_eq!(lab.names("/etc"), ["group", "group.7", "motd.1336", "passwd.lock", "passwd.old"]);
    }

    #[tokio::test]
    async fn accounts_that_are_not_wanted_go() {
        let lab = Lab::new();
        lab.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nold:x:900:900::/var/old:/bin/sh\n");
        lab.file("/etc/group", "root:x:0:\nold:x:900:\n");
        lab.program("userdel", r#"for last; do :; done; sed -i "/^$last:/d" "$ROOT/etc/passwd""#);
        lab.program("groupdel", r#"sed -i "/^$1:/d" "$ROOT/etc/group""#);
        let user = |home| State::Removed(Removed::User { name: "old".to_owned(), home });
        lab.settles(&user(true)).await;
        lab.settles(&State::Removed(Removed::Group { name: "old".to_owned() })).await;
        assert_eq!(lab.calls(), ["userdel --remove old", "groupdel old"]);
        assert_eq!(lab.check(&user(false)).await.unwrap(), None);
    }

    #[test]
    fn names_that_are_options_are_refused() {
        assert!(no_option("--root=/elsewhere").is_err());
    }

    #[test]
    fn numbers_count_as_names_where_no_account_is_called_so() {
        let lab = Lab::new();
        lab.file("/etc/passwd", "7:x:70:70::/:/bin/sh\n");
        assert_eq!(uid(&lab.host, "7").unwrap(), Some(70));
        assert_eq!(uid(&lab.host, "8").unwrap(), Some(8));
        assert_eq!(uid(&lab.host, "nobody-here").unwrap(), None);
    }
}
