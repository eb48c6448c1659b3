//! Everything that can be wished for, one type per wish.

pub mod archive;
pub mod backup;
pub mod cluster;
pub mod containers;
pub mod edit;
pub mod files;
pub mod keys;
mod label;
pub mod removed;
pub mod system;
pub mod trial;
pub mod wait;

use serde::{Deserialize, Serialize};

pub use archive::Extracted;
pub use backup::Backup;
pub use cluster::{NodeMetadata, Object, Taint, TaintEffect};
pub use containers::{Image, ImageSource, StaticPod};
pub use edit::{Edit, EditError, FileEdit, Otherwise};
pub use files::{Absent, Contents, Directory, File, Symlink};
pub use keys::{
    Authority, Certificate, IssuingAuthority, KeyPair, Kubeconfig, RandomKey, Readers, Signer, Subject, Usage,
};
pub use removed::Removed;
pub use system::{
    Command, Forwarding, Group, HostsEntry, KernelModule, LoopDevice, Mount, Opening, Packages, Repository,
    RepositorySource, Service, Swap, Sysctl, User,
};
pub use trial::Trial;
pub use wait::{Condition, Wait};

/// One wish about a host or a cluster, as plain data.
///
/// Guarantee: after a state was applied, checking it finds nothing to change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is documented at the type it holds")]
pub enum State {
    File(File),
    Directory(Directory),
    Symlink(Symlink),
    Absent(Absent),
    FileEdit(FileEdit),
    Extracted(Extracted),
    Removed(Removed),
    Packages(Packages),
    Repository(Repository),
    Service(Service),
    Sysctl(Sysctl),
    KernelModule(KernelModule),
    LoopDevice(LoopDevice),
    Mount(Mount),
    Swap(Swap),
    HostsEntry(HostsEntry),
    User(User),
    Group(Group),
    Opening(Opening),
    Forwarding(Forwarding),
    Command(Command),
    Image(Image),
    StaticPod(StaticPod),
    KeyPair(KeyPair),
    RandomKey(RandomKey),
    Authority(Authority),
    /// An authority that signs in a root's place.
    IssuingAuthority(IssuingAuthority),
    Certificate(Certificate),
    Kubeconfig(Kubeconfig),
    Object(Object),
    NodeMetadata(NodeMetadata),
    Backup(Backup),
    Wait(Wait),
    Trial(Trial),
}
