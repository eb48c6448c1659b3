//! What is not to be there: each by the hand that makes it.

use metalk8s_engine::{Change, StateError, state::Removed};

use crate::{
    Host, accounts, containers,
    firewall::rules,
    hosts, interfaces, loop_device, mount, packages,
    static_pod::{former, outdated},
};

pub(crate) async fn check(host: &Host, wish: &Removed) -> Result<Option<Change>, StateError> {
    match wish {
        Removed::Packages { names, purge, unneeded: _ } => packages::check_removed(host, names, *purge).await,
        Removed::User { name, home: _ } => accounts::check_no_user(host, name),
        Removed::Group { name } => accounts::check_no_group(host, name),
        Removed::HostsName { address, name } => hosts::check_no_name(host, *address, name),
        Removed::Mount { target, forget } => mount::check_unmounted(host, target, *forget),
        Removed::LoopDevice { file } => loop_device::check_detached(host, file).await,
        Removed::Containers => containers::check(host),
        Removed::FormerStaticPods { node } => former::check(host, node).await,
        Removed::OutdatedStaticPods { node } => outdated::check(host, node).await,
        Removed::Interface { name } => interfaces::check(host, name),
        Removed::Routes { protocol } => interfaces::check_routes(host, *protocol).await,
        Removed::PacketRules { tables, chains, comments } => {
            rules::check(host, tables, chains, comments).await
        }
    }
}

pub(crate) async fn apply(host: &Host, wish: &Removed) -> Result<(), StateError> {
    match wish {
        Removed::Packages { names, purge, unneeded } => {
            packages::remove(host, names, *purge, *unneeded).await
        }
        Removed::User { name, home } => accounts::remove_user(host, name, *home).await,
        Removed::Group { name } => accounts::remove_group(host, name).await,
        Removed::HostsName { address, name } => hosts::remove_name(host, *address, name),
        Removed::Mount { target, forget } => mount::unmount(host, target, *forget).await,
        Removed::LoopDevice { file } => loop_device::detach(host, file).await,
        Removed::Containers => containers::end(host).await,
        Removed::FormerStaticPods { node } => former::end(host, node).await,
        Removed::OutdatedStaticPods { node } => outdated::replace(host, node).await,
        Removed::Interface { name } => interfaces::remove(host, name).await,
        Removed::Routes { protocol } => interfaces::remove_routes(host, *protocol).await,
        Removed::PacketRules { tables, chains, comments } => {
            rules::remove(host, tables, chains, comments).await
        }
    }
}
