//! Labels, annotations and taints (constants.md, section 4).

/// Prefix of a role's label and taint.
pub const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// The product version of a Node.
pub const VERSION: &str = "metalk8s.scality.com/version";
/// The version of the cluster, an annotation of the namespace kube-system.
pub const CLUSTER_VERSION: &str = "metalk8s.scality.com/cluster-version";
/// Digest of the files that a static pod reads, so that a change restarts the pod.
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
