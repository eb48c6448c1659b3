//! Well-known paths (constants.md, section 3).

/// Where archives are mounted, each as `<name>-<version>`.
pub const ARCHIVES: &str = "/srv/scality";
/// The configuration directory.
pub const CONFIG_DIR: &str = "/etc/metalk8s";
/// The BootstrapConfiguration.
pub const BOOTSTRAP_CONFIG: &str = "/etc/metalk8s/bootstrap.yaml";
/// Keys of the product.
pub const PKI_DIR: &str = "/etc/metalk8s/pki";
/// The key under which this node tells what plans may not show apart.
pub const PLAN_KEY: &str = "/etc/metalk8s/crypt/plans.key";
/// Keys of Kubernetes, in kubeadm's layout.
pub const KUBERNETES_PKI: &str = "/etc/kubernetes/pki";
/// Keys of etcd, in kubeadm's layout.
pub const ETCD_PKI: &str = "/etc/kubernetes/pki/etcd";
/// The administrator's kubeconfig.
pub const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";
/// The kubelet's kubeconfig.
pub const KUBELET_KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
/// The kubeconfig of a node's agent.
pub const AGENT_KUBECONFIG: &str = "/etc/metalk8s/agent.conf";
/// The conductor's kubeconfig, where Salt's master had its own (constants.md, section 3).
pub const CONDUCTOR_KUBECONFIG: &str = "/etc/salt/master-kubeconfig.conf";
/// The kubeconfig of the HTTP API of Salt's master.
pub const SALT_API_KUBECONFIG: &str = "/etc/salt/api-kubeconfig.conf";
/// Certificate and key of the HTTP API of Salt's master.
pub const SALT_API_PKI: &str = "/etc/salt/pki/api";
/// Manifests of static pods.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// What the product keeps.
pub const STATE_DIR: &str = "/var/lib/metalk8s";
/// Jobs that the agent remembers.
pub const AGENT_JOBS: &str = "/var/lib/metalk8s/agent/jobs";
/// How this node differs from what it shall be, as its agent tells it: a [`crate::fleet::Drift`] in JSON.
pub const AGENT_DRIFT: &str = "/var/lib/metalk8s/agent/drift.json";
/// Metrics of this node, in the text format that node_exporter's textfile collector reads.
pub const METRICS: &str = "/var/lib/metalk8s/metrics";
/// Programs of other versions, each in the folder of its environment.
pub const PROGRAMS: &str = "/var/lib/metalk8s/programs";
/// Journals of runs.
pub const RUNS: &str = "/var/lib/metalk8s/runs";
/// The lock that a run holds as long as it changes this machine.
pub const RUN_LOCK: &str = "/var/lib/metalk8s/runs/lock";
/// The openings that we made in firewalld, which keeps no word on who made a rule; one a line.
pub const FIREWALLD_OPENINGS: &str = "/var/lib/metalk8s/firewalld-openings";
/// Logs of the scripts.
pub const LOG_DIR: &str = "/var/log/metalk8s";
/// The bootstrap's log as documented, a link into [`LOG_DIR`].
pub const DOCUMENTED_BOOTSTRAP_LOG: &str = "/var/log/metalk8s-bootstrap.log";
/// containerd's socket.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
