//! 19: other machines, over SSH.

super::explanations! { SSH:
    SSH_UNREACHABLE = "MK1901", "a machine cannot be reached over SSH",
        "The machine that the annotations of its Node name does not answer, or ends the connection before the login. It is tried again: it may be booting.",
        "From the Bootstrap node, try `ssh -v -p PORT USER@HOST`; look at the machine's address, its SSH server and firewalls between.";
    SSH_HOST_KEY_CHANGED = "MK1902", "the host key of a machine has changed",
        "The first key that a machine shows is kept, and only that one is accepted later. Another one means that the machine was installed anew, or that somebody else answers in its place. Nothing was sent.",
        "Compare the fingerprint in the message with the machine's own, on its console: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`. Only if they are the same, remove the old one from the Node.";
    SSH_KEY_UNUSABLE = "MK1903", "the private key for SSH cannot be used",
        "The file that `ssh-key-path` names is missing, open to others than its owner, encrypted with a passphrase, or no private key.",
        "Make a key with `ssh-keygen -t rsa -b 4096 -N '' -f PATH` on the Bootstrap node, or correct the path; its mode must be 0600.";
    SSH_DENIED = "MK1904", "a machine does not let us in over SSH",
        "The machine answers, but does not accept the user with this key, or runs no commands for it.",
        "Add the public key to `.ssh/authorized_keys` of that user there; its `journalctl -u ssh -u sshd` tells why a login was refused.";
    SSH_PROTOCOL = "MK1905", "two machines cannot agree on SSH",
        "What answers at the address is no SSH server, or has no algorithm in common with us; those that are broken, such as SHA-1, are not offered.",
        "Check the port; update the SSH server of the machine.";
    SUDO_REFUSED = "MK1906", "sudo does not run commands without a password",
        "The Node says that commands need `sudo` on its machine. It is not installed there, or wants a password that nobody can type.",
        "Put `USER ALL=(ALL) NOPASSWD: ALL` into a file of /etc/sudoers.d on the machine, or let root log in and set `ssh-sudo` to 'false'.";
    SSH_COMMAND_LOST = "MK1907", "a command on another machine did not come to its end",
        "The connection was lost while a command ran, or the command took longer than it may. It may still go on over there.",
        "Look at the machine: has it booted anew, is its disk or network overloaded? Then start again.";
    UPLOAD_FAILED = "MK1908", "a file could not be put on another machine",
        "Files are written beside their place, checked by their digest, and only then moved there; one of these steps failed. What was at the place before is still there.",
        "Repair what the causes name: rights, a read-only mount, or a folder in the file's place.";
    SSH_COMMAND_FAILED = "MK1909", "a command on another machine failed",
        "The machine was reached and ran the command, which ended with an error or with an answer that nobody understands. Its own words are in the message.",
        "Repair what it names on that machine, then start again.";
}
