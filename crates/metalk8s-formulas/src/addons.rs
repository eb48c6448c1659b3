//! Addons: plain manifests below addons/, and what of them depends on facts and settings.

mod calico;
mod coredns;
mod crds;
mod kube_proxy;
mod manifests;
mod metallb;

pub use manifests::{AddonError, UpstreamManifests};

pub(crate) use calico::calico;
pub(crate) use coredns::coredns;
pub(crate) use kube_proxy::kube_proxy;
pub(crate) use manifests::{object_state, title};
pub(crate) use metallb::metallb;
