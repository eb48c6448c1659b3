//! 14: packages and images.

super::explanations! { PACKAGES:
    PACKAGE_MANAGER_FAILED = "MK1401", "the package manager failed",
        "apt or dnf ended with an error; its own words are in the causes and in the log.",
        "Repair what it names (often an unfinished transaction: `dpkg --configure -a`, `dnf check`), then start again.";
    PACKAGE_MISSING = "MK1402", "a package is not offered in the wanted version",
        "None of the repositories has the exact version that this release needs.",
        "Check that the archive is mounted below /srv/scality and that its repository is configured.";
    PACKAGE_LOCKED = "MK1403", "another package manager is running",
        "apt and dnf keep a lock while they work, and it was not free before the deadline.",
        "Wait for the other run (often unattended upgrades) to end, then start again.";
    REPOSITORY_UNREACHABLE = "MK1404", "the repository cannot be reached",
        "Nodes fetch packages and images from the bootstrap node on port 8080 of the control plane.",
        "Try `curl --cacert /etc/metalk8s/pki/repositories/ca.crt https://ADDRESS:8080/` from this machine; check firewall and routes.";
    IMAGE_IMPORT = "MK1405", "an image could not be imported",
        "containerd refused an image of the archive, or its contents do not match its digest.",
        "Verify the archive with `metalk8s archive verify PATH` and look at `journalctl -u containerd`.";
    CONTAINERD_DOWN = "MK1406", "containerd does not answer",
        "The socket /run/containerd/containerd.sock is missing or nobody listens on it.",
        "Look at `systemctl status containerd` and `journalctl -u containerd`.";
}
