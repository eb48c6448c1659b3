//! 16: keys and certificates.

super::explanations! { KEYS:
    KEY_UNREADABLE = "MK1601", "a key or certificate cannot be read",
        "The file is not the PEM that it should be, or is damaged.",
        "Restore it from a backup. A certificate that is not an authority may be removed; it is made again.";
    KEY_MISMATCH = "MK1602", "a certificate and its key do not belong together",
        "The public key in the certificate is not that of the private key beside it.",
        "Restore both from the same backup.";
    AUTHORITY_EXPIRED = "MK1603", "a certificate authority has expired",
        "Everything it signed is refused since then.",
        "Replace the authority by the documented procedure; this interrupts the cluster.";
    AUTHORITY_KEY_MISSING = "MK1604", "the private key of an authority is missing",
        "Only the node that holds the authorities can sign, and its key is not there.",
        "Run the command on the node that `ca.minion` names, or restore the key from a backup.";
    CERTIFICATE_LATE = "MK1605", "a certificate was not renewed in time",
        "Each node renews its certificates by itself after two thirds of their life; this one is older. When it expires, what shows it is refused.",
        "Look at the jobs of the node (`salt-run jobs.list_jobs`, function `state.apply` of `metalk8s.certificates.renewed`) and at `journalctl -u metalk8s-agent`. By hand: `salt NODE state.apply metalk8s.certificates.renewed`. Where the agent's own certificate has expired, `metalk8s node deploy NODE` gives it a new one.";
    AUTHORITY_ENDS = "MK1606", "a certificate authority is in its last year",
        "The Bootstrap node renews the roots when two thirds of their life are over, and every node is given them within minutes. This node still has one of before. Certificates never outlive their authority.",
        "`metalk8s authority list` on the Bootstrap node tells whether the root was renewed; if not, `metalk8s authority renew` does it. Then, on the Bootstrap node: `metalk8s salt NODE state.apply metalk8s.certificates.renewed`.";
    ISSUING_AUTHORITY_DUE = "MK1607", "an authority waits for the key of the root",
        "Two thirds of the life of an authority that signs certificates, or of a root, are over. The node would renew it by itself, but the key of the root was protected or taken away. When it ends, no certificate can be renewed.",
        "On the Bootstrap node: `metalk8s authority renew`, with `--from FOLDER` where the keys of the roots are elsewhere.";
    KEY_PASSWORD = "MK1608", "the password of a key is wrong or missing",
        "The key of a root is protected by a password, and was not opened with the one that was given.",
        "Give the password that `metalk8s authority protect` was given, at the question or by `--password-file`. There is no way around it.";
}
