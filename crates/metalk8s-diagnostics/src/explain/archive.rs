//! 13: the archive.

super::explanations! { ARCHIVE:
    ARCHIVE_MISSING = "MK1301", "the archive does not exist",
        "The configuration names an archive (an ISO file or a folder) that is not there.",
        "Copy it to the named path, or correct `archives` in the configuration.";
    ARCHIVE_UNREADABLE = "MK1302", "the archive cannot be read",
        "The file is not an ISO 9660 image, is truncated, or the device under it gives errors.",
        "Compare its checksum with the one published beside it and copy it again.";
    ARCHIVE_DAMAGED = "MK1303", "a file of the archive is damaged",
        "The checksum of a file differs from the signed manifest. It was not used.",
        "Copy the archive again; `metalk8s archive verify PATH` checks all of it.";
    ARCHIVE_SIGNATURE = "MK1304", "the manifest of the archive is not signed by the known key",
        "The list of checksums must be signed, and this signature is missing or of somebody else.",
        "Use an archive from the publisher; do not go on with this one.";
    ARCHIVE_WRONG_PRODUCT = "MK1305", "the archive is of another product",
        "product.txt in the archive must say NAME=MetalK8s.",
        "Check which ISO the path names.";
    ARCHIVE_WRONG_VERSION = "MK1306", "the archive is of another version",
        "The command needs the archive of exactly one version, and this one is of another.",
        "Use the archive of the version in the message, or the scripts of the archive you have.";
    ARCHIVE_MOUNT = "MK1307", "the archive cannot be mounted",
        "An ISO is mounted by a loop device, or through FUSE where there is none; both failed.",
        "`losetup -f` shows whether a loop device is free; look at the causes in the message.";
    ARCHIVE_INCOMPLETE = "MK1308", "the archive lacks something that is needed",
        "The archive has no image or package for this host family, although its manifest is intact.",
        "Build or fetch an archive made for this operating system.";
    ARCHIVE_TWICE = "MK1309", "two archives are of one version",
        "Each version is mounted at one place, /srv/scality/metalk8s-VERSION, so there is room for one archive of it.",
        "Leave one of the two in `archives`; to use a newer build, replace the file and run `metalk8s archive add`.";
}
