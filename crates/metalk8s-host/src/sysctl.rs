//! Kernel parameters.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Sysctl};

use crate::{Host, doing::Doing, lines};

/// How the kernel stands to a parameter.
#[derive(Debug, PartialEq, Eq)]
enum Kernel {
    /// It has the value.
    Agrees,
    /// It has another one, which can be changed.
    Differs(String),
    /// It has another one, or no such parameter, and nothing can be done from here.
    Refuses,
}

pub(crate) fn check(host: &Host, wish: &Sysctl) -> Result<Option<Change>, StateError> {
    let kernel = kernel(host, wish)?;
    let kept = is_kept(host, wish)?;
    let (key, value) = (&wish.key, &wish.value);
    Ok(match (kernel, kept) {
        (Kernel::Agrees, true) => None,
        (Kernel::Refuses, true) => {
            tracing::info!(parameter = %key, "the kernel does not let the parameter be changed from here");
            None
        }
        (Kernel::Refuses, false) => Some(Change::new(
            ChangeKind::Update,
            format!("keep {key} = {value} for the next boot; it cannot be changed now"),
        )),
        (Kernel::Agrees, false) => {
            Some(Change::new(ChangeKind::Update, format!("keep {key} = {value} for the next boot")))
        }
        (Kernel::Differs(before), _) => Some(Change {
            before: Some(before),
            after: Some(value.clone()),
            ..Change::new(ChangeKind::Update, format!("set {key} = {value}"))
        }),
    })
}

pub(crate) fn apply(host: &Host, wish: &Sysctl) -> Result<(), StateError> {
    if let Kernel::Differs(_) = kernel(host, wish)? {
        let doing = || format!("could not set `{}` to `{}`", wish.key, wish.value);
        let path = host.real(&proc_path(&wish.key)?)?;
        // One call of write(2): the kernel takes each as a whole value.
        let mut file = OpenOptions::new().write(true).truncate(true).open(path).doing(doing)?;
        file.write_all(wish.value.as_bytes()).doing(doing)?;
    }
    lines::edit_own(host, &wish.file, |text| {
        lines::with_line(text, &format!("{} = {}", wish.key, wish.value), |line| names_key(line, &wish.key))
    })?;
    Ok(())
}

fn kernel(host: &Host, wish: &Sysctl) -> Result<Kernel, StateError> {
    let path = proc_path(&wish.key)?;
    let Some(found) = host.read_text(&path)? else {
        // The module that brings it may come with another state; applying will tell.
        return Ok(if wish.may_be_read_only {
            Kernel::Refuses
        } else {
            Kernel::Differs("(missing)".to_owned())
        });
    };
    if same_value(&found, &wish.value) {
        return Ok(Kernel::Agrees);
    }
    if wish.may_be_read_only
        && let Err(err) = OpenOptions::new().write(true).open(host.real(&path)?)
        && matches!(err.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
    {
        return Ok(Kernel::Refuses);
    }
    Ok(Kernel::Differs(found.trim().to_owned()))
}

fn is_kept(host: &Host, wish: &Sysctl) -> Result<bool, StateError> {
    let text = host.read_text(&wish.file)?.unwrap_or_default();
    let mut ours = text.lines().filter(|line| names_key(line, &wish.key));
    Ok(ours
        .next()
        .and_then(|line| line.split_once('='))
        .is_some_and(|(_, value)| same_value(value, &wish.value))
        && ours.next().is_none())
}

fn names_key(line: &str, key: &str) -> bool {
    let name = line.split_once('=').map_or("", |(name, _)| name.trim());
    name.strip_prefix('-').unwrap_or(name) == key
}

/// The kernel separates the parts of a value by tabs, people by spaces.
fn same_value(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// As sysctl(8) maps names: where the first separator is a dot, dots and slashes change places, so that
/// `net.ipv4.conf.eth0/1.forwarding` names the interface `eth0.1`.
fn proc_path(key: &str) -> Result<PathBuf, StateError> {
    let mapped = match key.find(['.', '/']) {
        Some(first) if key[first..].starts_with('.') => key
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    };
    if mapped.is_empty() || mapped.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(StateError::new(format!("`{key}` is no kernel parameter")));
    }
    Ok(Path::new("/proc/sys").join(mapped))
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    fn wish(key: &str, value: &str) -> Sysctl {
        Sysctl {
            key: key.to_owned(),
            value: value.to_owned(),
            file: "/etc/sysctl.d/60-metalk8s.conf".into(),
            may_be_read_only: false,
        }
    }

    #[tokio::test]
    async fn parameters_are_set_now_and_kept_together_in_one_file() {
        let lab = Lab::new();
        lab.file("/proc/sys/net/ipv4/ip_forward", "0\n");
        lab.file("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
        lab.settles(&State::Sysctl(wish("net.ipv4.ip_forward", "1"))).await;
        lab.settles(&State::Sysctl(wish("net.ipv4.ip_local_port_range", "32768 60999"))).await;
        assert_eq!(
            lab.text("/etc/sysctl.d/60-metalk8s.conf"),
            metalk8s_types::header()
                + "net.ipv4.ip_forward = 1\nnet.ipv4.ip_local_port_range = 32768 60999\n"
        );
    }

    #[tokio::test]
    async fn a_value_that_the_file_has_but_the_kernel_lost_is_set_again() {
        let lab = Lab::new();
        lab.file("/proc/sys/vm/swappiness", "60\n");
        lab.settles(&State::Sysctl(wish("vm.swappiness", "0"))).await;
        lab.file("/proc/sys/vm/swappiness", "60\n");
        let change = lab.settles(&State::Sysctl(wish("vm.swappiness", "0"))).await;
        assert_eq!(change.before.as_deref(), Some("60"));
    }

    #[tokio::test]
    async fn a_parameter_out_of_reach_is_kept_in_the_file_and_no_error() {
        let lab = Lab::new();
        let optional = Sysctl { may_be_read_only: true, ..wish("net.netfilter.nf_conntrack_max", "131072") };
        let change = lab.settles(&State::Sysctl(optional)).await;
        assert!(change.summary.ends_with("it cannot be changed now"), "{}", change.summary);
        let must = State::Sysctl(wish("net.netfilter.nf_conntrack_buckets", "1"));
        use metalk8s_engine::Hands;
        let change = lab.check(&must).await.unwrap().unwrap();
        assert!(lab.host.apply(&must, &change).await.is_err());
    }

    #[test]
    fn names_map_to_paths_and_never_out_of_proc_sys() {
        assert_eq!(proc_path("net.ipv4.ip_forward").unwrap(), Path::new("/proc/sys/net/ipv4/ip_forward"));
        assert_eq!(proc_path("net/ipv4/ip_forward").unwrap(), Path::new("/proc/sys/net/ipv4/ip_forward"));
        assert_eq!(
            proc_path("net.ipv4.conf.eth0/1.forwarding").unwrap(),
            Path::new("/proc/sys/net/ipv4/conf/eth0.1/forwarding")
        );
        for key in ["", "..", "net...x", "/etc/passwd", "net.//.x"] {
            assert!(proc_path(key).is_err(), "{key}");
        }
    }
}
