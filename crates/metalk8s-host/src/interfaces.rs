//! Network interfaces and routes that are not to be there.

use std::{io, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError};

use crate::{Host, doing::Doing, program::no_option};

/// Where the kernel lists its interfaces.
pub(crate) const INTERFACES: &str = "/sys/class/net";

pub(crate) fn check(host: &Host, name: &str) -> Result<Option<Change>, StateError> {
    checked(name)?;
    let is_there = host.exists(&Path::new(INTERFACES).join(name));
    Ok(is_there.then(|| Change::new(ChangeKind::Remove, format!("remove the interface {name}"))))
}

pub(crate) async fn remove(host: &Host, name: &str) -> Result<(), StateError> {
    let doing = || format!("could not remove the interface `{name}`");
    let argument = no_option(name).doing(doing)?;
    let deleted = host.program("ip").args(["link", "delete", "dev"]).arg(argument).run().await;
    // The end of a pod's link goes by itself with the other one, in the pod's namespace.
    if deleted.is_err() && check(host, name)?.is_none() {
        return Ok(());
    }
    deleted.map(drop).doing(doing)
}

pub(crate) async fn check_routes(host: &Host, protocol: u8) -> Result<Option<Change>, StateError> {
    let count = routes(host, protocol).await?;
    Ok((count > 0).then(|| Change::new(ChangeKind::Remove, format!("remove {count} routes to pods"))))
}

pub(crate) async fn remove_routes(host: &Host, protocol: u8) -> Result<(), StateError> {
    let program = host.program("ip").args(["route", "flush", "proto", &protocol.to_string()]);
    program.run().await.doing(|| "could not remove routes".to_owned())?;
    Ok(())
}

async fn routes(host: &Host, protocol: u8) -> Result<usize, StateError> {
    if !host.has_program("ip") {
        return Ok(0);
    }
    let program = host.program("ip").args(["route", "show", "proto", &protocol.to_string()]);
    let output = program.run().await.doing(|| "could not list the routes".to_owned())?;
    Ok(output.stdout.lines().filter(|line| !line.trim().is_empty()).count())
}

fn checked(name: &str) -> Result<(), StateError> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(StateError::new(format!("`{name}` is no name of an interface")).because(error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use crate::testing::Lab;

    #[tokio::test]
    async fn interfaces_and_routes_go_also_those_that_go_by_themselves_meanwhile() {
        let lab = Lab::new();
        lab.file("/sys/class/net/vxlan.calico/mtu", "1450");
        lab.file("/sys/class/net/cali0123456789a/mtu", "1450");
        lab.file("/fake/routes", "blackhole 10.233.1.0/26\n10.233.2.0/26 via 10.0.0.2 dev eth1\n");
        lab.program(
            "ip",
            r#"case "$*" in
               "link delete dev vxlan.calico") rm -r "$ROOT/sys/class/net/vxlan.calico";;
               "link delete dev cali0123456789a") rm -r "$ROOT/sys/class/net/cali0123456789a"; exit 1;;
               "route show proto 80") cat "$ROOT/fake/routes";;
               "route flush proto 80") : > "$ROOT/fake/routes";;
               *) exit 1;;
               esac"#,
        );
        lab.settles(&State::Removed(Removed::Interface { name: "vxlan.calico".into() })).await;
        lab.settles(&State::Removed(Removed::Interface { name: "cali0123456789a".into() })).await;
        let routes = lab.settles(&State::Removed(Removed::Routes { protocol: 80 })).await;
        assert_eq!(routes.summary, "remove 2 routes to pods");
    }

    #[tokio::test]
    async fn a_name_that_is_a_path_is_refused() {
        let lab = Lab::new();
        for name in ["../../etc", "", "."] {
            let wish = State::Removed(Removed::Interface { name: name.into() });
            assert!(lab.check(&wish).await.is_err(), "{name}");
        }
    }
}
