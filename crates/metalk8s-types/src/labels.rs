//! Labels, annotations and taints (constants.md, section 4).

/// Prefix of a role's label and taint.
pub const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// The product version of a Node.
pub const VERSION: &str = "metalk8s.scality.com/version";
/// The version of the cluster, an annotation of the namespace kube-system.
pub const CLUSTER_VERSION: &str = "metalk8s.scality.com/cluster-version";
/// Digest of a static pod and of the files that it reads: a change restarts the pod, and what runs can be told
/// from what shall run.
pub const CONFIG_DIGEST: &str = "metalk8s.scality.com/config-digest";
/// The runtime's socket, an annotation of a Node.
pub const CRI_SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";
/// Who manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "salt";
/// What an object is part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF`].
pub const PART_OF_VALUE: &str = "metalk8s";
/// Where the machine of a Node is reached over SSH; the annotations below belong to it (EXP-02, EXP-03).
pub const SSH_HOST: &str = "metalk8s.scality.com/ssh-host";
/// The port, a number in text; 22 where it is missing.
pub const SSH_PORT: &str = "metalk8s.scality.com/ssh-port";
/// The user; root where it is missing.
pub const SSH_USER: &str = "metalk8s.scality.com/ssh-user";
/// The private key, a path on the Bootstrap node.
pub const SSH_KEY_PATH: &str = "metalk8s.scality.com/ssh-key-path";
/// Whether the user becomes root by sudo(8): `true` or `false`.
pub const SSH_SUDO: &str = "metalk8s.scality.com/ssh-sudo";
/// The fingerprint of the machine's host key, written at the first connection and compared at the next.
pub const SSH_HOST_KEY: &str = "metalk8s.scality.com/ssh-host-key";
