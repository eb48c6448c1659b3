//! 20: what the doctor finds in a cluster that runs.

super::explanations! { HEALTH:
    CHECK_IMPOSSIBLE = "MK2001", "something could not be looked at",
        "The doctor looks at each part by itself, and this one could not be reached or did not answer in time. Nothing is known about it.",
        "Mend what the message names first, most often the API, then call the doctor again.";
    CLOCK_APART = "MK2002", "the clock of a node is wrong",
        "Certificates, leases and the members of etcd compare times of different machines. This clock is further from the one where the doctor runs than an answer takes.",
        "Turn on time synchronisation on the node (`timedatectl set-ntp true`), and compare with `timedatectl`.";
    ETCD_MEMBER_SILENT = "MK2003", "a member of etcd does not answer",
        "Without a majority of its members etcd answers nothing, and with it the Kubernetes API.",
        "On the member's node look at `crictl ps -a --name etcd` and its logs; check disk and network.";
    ETCD_NO_LEADER = "MK2004", "the members of etcd do not agree on a leader",
        "Nothing can be written without one leader. During an election that is so for a moment.",
        "Call the doctor again. If it stays so, look at clocks, network and disk latency between the members.";
    ETCD_NEARLY_FULL = "MK2005", "etcd is nearly full",
        "At its quota etcd takes no more writes until somebody frees space.",
        "`etcdctl compact` up to the current revision and `etcdctl defrag`; look what writes so much (`etcdctl get --prefix --keys-only /`).";
    ETCD_ALARM = "MK2006", "etcd has raised an alarm",
        "`NOSPACE`: its quota is used up, and it refuses writes. `CORRUPT`: a member has other data than the rest.",
        "NOSPACE: compact, defragment, then `etcdctl alarm disarm`. CORRUPT: remove the member and deploy its node again.";
    ETCD_LEARNER = "MK2007", "a member of etcd has no vote",
        "A member that joins learns first. A deployment that was interrupted leaves it without its vote.",
        "`metalk8s node deploy NODE` goes on with the deployment.";
    API_SERVER_SILENT = "MK2008", "an API server is not ready",
        "The others serve in its place, if there are any.",
        "On its node look at `crictl ps -a --name kube-apiserver` and its logs.";
    NODE_UNWELL = "MK2009", "a node is not well",
        "The kubelet, or whoever watches it, tells so in a condition of the Node.",
        "`kubectl describe node NAME` shows the condition; on the node look at `journalctl -u kubelet`.";
    UNIT_STOPPED = "MK2010", "a unit of a node does not run",
        "Without its container runtime and kubelet a machine is no node.",
        "On the node: `systemctl status UNIT` and `journalctl -u UNIT`, then `systemctl start UNIT`.";
    DNS_WRONG = "MK2011", "the cluster's DNS does not know a name of the cluster",
        "Pods find each other by names. The server did not answer, or not with the address that the Service has.",
        "Look at the pods of CoreDNS: `kubectl -n kube-system get pods -l k8s-app=kube-dns`, and at their logs. Were they deleted, `salt-call state.highstate` on the Bootstrap node brings them back.";
    IMAGE_UNAVAILABLE = "MK2012", "an image cannot be pulled",
        "The repositories do not hand out an image of the archive as it was signed: a pod that is started now would not start.",
        "Look at the pod `repositories` of the Bootstrap node, and verify the archive: `metalk8s archive verify`.";
    DISK_NEARLY_FULL = "MK2013", "a file system is nearly full",
        "What cannot be written stops the node: etcd, logs, images. Without free inodes nothing can be written either, however much space is left.",
        "`df -h` and `df -i` show more; free space, or make the file system larger.";
    ADDRESS_DIFFERS = "MK2014", "the addresses of a node do not agree",
        "Certificates and other nodes know the node by the address that it had when it joined. The machine, or its Node object, has another one.",
        "Give the machine its address back, or deploy the node anew: `metalk8s node deploy NODE`.";
    AGENT_SILENT = "MK2015", "the agent of a node does not answer",
        "No job is carried out there, no certificate is renewed.",
        "On the node: `systemctl status metalk8s-agent` and `journalctl -u metalk8s-agent`. If its certificate has expired: `metalk8s node deploy NODE`.";
    RUN_FAILED = "MK2016", "the last run for a node failed",
        "What was done is kept; the rest was not begun.",
        "`metalk8s run show RUN` tells why, `metalk8s run resume RUN` goes on with it.";
    POD_NOT_RUNNING = "MK2017", "a pod does not run",
        "It is not ready, for longer than a start takes.",
        "`kubectl describe pod` and `kubectl logs` of it tell why.";
    LEASE_NOT_HELD = "MK2018", "nobody leads a part of the control plane",
        "Of the conductors, controller managers and schedulers one of each works, by a lease that it renews. Nobody has renewed this one in time.",
        "Look at the pods: `kubectl -n kube-system get pods`; on masters at `crictl ps -a`.";
}
