//! What is not to be there: each by the hand that makes it.

use metalk8s_engine::{Change, StateError, state::Removed};

use crate::{Host, accounts, hosts, mount, packages};

pub(crate) async fn check(host: &Host, wish: &Removed) -> Result<Option<Change>, StateError> {
    match wish {
        Removed::Packages { names, purge } => packages::check_removed(host, names, *purge).await,
        Removed::User { name, home: _ } => accounts::check_no_user(host, name),
        Removed::Group { name } => accounts::check_no_group(host, name),
        Removed::HostsName { address, name } => hosts::check_no_name(host, *address, name),
        Removed::Mount { target, forget } => mount::check_unmounted(host, target, *forget),
    }
}

pub(crate) async fn apply(host: &Host, wish: &Removed) -> Result<(), StateError> {
    match wish {
        Removed::Packages { names, purge } => packages::remove(host, names, *purge).await,
        Removed::User { name, home } => accounts::remove_user(host, name, *home).await,
        Removed::Group { name } => accounts::remove_group(host, name).await,
        Removed::HostsName { address, name } => hosts::remove_name(host, *address, name),
        Removed::Mount { target, forget } => mount::unmount(host, target, *forget).await,
    }
}
