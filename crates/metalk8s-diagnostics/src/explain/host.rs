//! 12: the machine, looked at before anything is changed.

super::explanations! { HOST:
    OS_UNSUPPORTED = "MK1201", "the operating system is not supported",
        "Packages exist for Debian 12 and for Enterprise Linux 8 and 9. /etc/os-release says this machine is something else.",
        "Install one of the supported systems on the machine.";
    KERNEL_TOO_OLD = "MK1202", "the kernel is too old",
        "Containers and their network need features that came with later kernels; the message names both versions.",
        "Update the kernel with the host's package manager and boot into it.";
    TOO_FEW_CPUS = "MK1203", "the machine has too few processors",
        "The control plane needs at least the number of processors that the message names, or its parts time out while waiting for each other.",
        "Give the machine more processors.";
    TOO_LITTLE_MEMORY = "MK1204", "the machine has too little memory",
        "With less memory the kernel ends processes of the control plane at moments nobody can foresee.",
        "Give the machine more memory.";
    PORT_IN_USE = "MK1205", "a port is already in use",
        "A part of the control plane or the node must listen on this port, and another program has it.",
        "`ss -ltnp` shows which program it is. Stop it, or move it to another port.";
    TOO_LITTLE_DISK = "MK1206", "too little disk space is free",
        "Images, logs and etcd's data are kept below /var/lib; when it runs full, the node stops working.",
        "Free space, or mount a larger file system there.";
    BAD_HOSTNAME = "MK1207", "the host name cannot name a node",
        "The host name becomes the name of the Node and must be a DNS label: lower-case letters, digits and hyphens, at most 63, starting and ending with a letter or digit.",
        "Set another one with `hostnamectl set-hostname NAME`.";
    NO_ADDRESS = "MK1208", "no address of the machine is in the configured networks",
        "The machine must have an address in the control plane and one in the workload plane; none of its interfaces has one in the named ranges.",
        "Compare `ip address` with `networks.controlPlane` and `networks.workloadPlane` of the configuration.";
    SEVERAL_ADDRESSES = "MK1209", "several addresses of the machine are in one configured network",
        "Services bind to the one address that the machine has in a network; here several fit, and any choice could be wrong.",
        "Make the range in the configuration narrower, or remove the extra address.";
    CONFLICTING_SOFTWARE = "MK1210", "conflicting software is installed or running",
        "Another container runtime, another Kubernetes or another configuration manager would fight over the same sockets, files and packages.",
        "Stop and remove what the message names; the machine should be as the distribution installed it.";
    SWAP_IN_USE = "MK1211", "swap is in use and cannot be turned off",
        "The kubelet refuses to start while the machine swaps, because memory limits of pods would mean nothing.",
        "Turn it off with `swapoff -a` and remove it from /etc/fstab.";
    CLOCK_WRONG = "MK1212", "the clock of the machine is wrong",
        "Certificates are valid between two moments; with a wrong clock they are refused, and the members of etcd disagree.",
        "Set the clock and turn on time synchronisation (`timedatectl set-ntp true`).";
    NO_CGROUPS = "MK1213", "the kernel offers no control groups that the kubelet can use",
        "The kubelet limits pods by the controllers cpu, memory and pids, and at least one is missing or not delegated.",
        "Boot with `systemd.unified_cgroup_hierarchy=1`, or in a container delegate the controllers to it.";
    HOST_TOOL_MISSING = "MK1214", "a program of the host is missing",
        "A program that every supported system has could not be found, so this installation is not complete.",
        "Install the package that the message names with the host's package manager.";
    NETWORK_IN_INFRASTRUCTURE = "MK1215", "a range of pods or services is already in use on this machine",
        "A route or an interface of the machine lies in the range chosen for pods or services; that part of the network would become unreachable.",
        "Choose another range in the configuration, or remove the route.";
    ACCOUNT_NUMBER_TAKEN = "MK1216", "the number of a user or group that is needed is taken",
        "Static pods run as users of their own, whose numbers are the same on every node. A user or group of another name has one of these.",
        "Give that user or group another number (`usermod --uid`, `groupmod --gid`), with the files that are its own.";
}
