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
}
