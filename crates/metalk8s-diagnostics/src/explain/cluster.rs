//! 17: the cluster.

super::explanations! { CLUSTER:
    API_UNREACHABLE = "MK1701", "the Kubernetes API cannot be reached",
        "The API server did not answer on the named address.",
        "On a master, look at `crictl ps -a --name kube-apiserver` and its logs; on another node also at the apiserver-proxy.";
    API_DENIED = "MK1702", "the Kubernetes API refused the request",
        "The identity that was used may not do this.",
        "Use the administrator's kubeconfig /etc/kubernetes/admin.conf, or ask for the right.";
    API_CONFLICT = "MK1703", "somebody else manages a field that we must set",
        "Server-side apply found another field manager on a field of an object that is not ours alone.",
        "`kubectl get --show-managed-fields` shows who it is; remove that field there.";
    ETCD_UNHEALTHY = "MK1704", "etcd is not healthy",
        "etcd has lost its quorum, or a member does not answer.",
        "Look at `crictl logs` of the etcd container on each etcd node; check disk latency and free space.";
    NODE_NOT_READY = "MK1705", "a node does not become Ready",
        "The kubelet runs, but reports that it cannot take pods yet; most often the pod network is missing.",
        "`kubectl describe node NAME` shows the condition; `journalctl -u kubelet` the reason.";
    KUBECONFIG_UNUSABLE = "MK1706", "a kubeconfig cannot be used",
        "The file is missing, damaged, or of another cluster than the one whose API server answers.",
        "On a master, /etc/kubernetes/admin.conf is the administrator's; where it is damaged, `bootstrap.sh` on the Bootstrap node and `metalk8s node deploy NODE` make it again. Other machines have none: run the command on a master.";
    OBJECT_MISSING = "MK1707", "an object of the cluster does not exist",
        "The API server knows no object of this name, or somebody deleted it meanwhile.",
        "`kubectl get` shows what there is; `metalk8s node list` and `metalk8s run list` show nodes and runs.";
    API_REFUSED = "MK1708", "the Kubernetes API did not do what it was asked",
        "The API server answered, but is busy, rejects the object, or somebody else changed it at the same moment. The last cause is its own reason.",
        "Start the same command again. If it stays so, the reason tells what to correct; `metalk8s doctor` looks at the whole cluster.";
    NODE_UNKNOWN = "MK1709", "there is no such node",
        "The cluster has no Node object of this name, or no agent of this name has joined.",
        "`metalk8s node list` lists all nodes. A new one begins with its manifest: `kubectl apply -f node.yaml`.";
    NODE_INCOMPLETE = "MK1710", "a Node object does not say what it must",
        "Version, roles and the way to the machine are read from labels, taints and annotations of the Node; something there is missing or wrong. Nothing was changed.",
        "Correct what the message names in the manifest, `kubectl apply` it, then start the deployment again.";
    NODE_NEEDED = "MK1711", "a node or a role cannot be taken away",
        "The cluster would lose what it cannot live without: its Bootstrap node, its last master, or the majority of etcd. Nothing was changed.",
        "Do what the message says first, for example deploy another master.";
    PODS_STAY = "MK1712", "pods do not leave a node",
        "A disruption budget allows no pod less, or a pod does not end in the time it has. The node is closed to new pods; everything else is as it was.",
        "Give the workload more replicas or room elsewhere, or end the named pods; then start again. `--drain-timeout` gives them longer; `metalk8s node deploy --skip-draining` leaves them where they are.";
    SETTINGS_MISSING = "MK1713", "the cluster has no settings yet",
        "The conductor writes what all nodes must know into the cluster. It has not done so yet.",
        "Look whether the pod salt-master runs on the Bootstrap node: `kubectl -n kube-system get pods`, then its logs.";
    AGENT_FAILED = "MK1714", "the agent of a node did not do its job",
        "The agent answered, but the job failed, was killed, or was cut off by a restart.",
        "`salt-run jobs.lookup_jid JID` shows what it returned; `journalctl -u metalk8s-agent` on the node tells more.";
    NODES_UNKNOWN = "MK1715", "no API server tells which nodes there are",
        "This machine has been one of several masters. At its own address and at those of the others no API server answered for a minute, or they refused to, and without their answer the bootstrap would take this node for the only one. Nothing was changed.",
        "Where the cause is a certificate that has expired: `salt-call state.apply metalk8s.certificates.renewed`, then begin again. Else start another master and its API server, then begin again. Where none can answer before this one does, as with two members of etcd, or where the others are gone for good, take their lines out of /var/lib/metalk8s/apiserver-proxy/backends first.";
}
