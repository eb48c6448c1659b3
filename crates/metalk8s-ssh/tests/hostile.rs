//! Whatever a machine says over SSH: it is understood within bounds, or refused. See fuzz/README.md.

#[path = "../../../fuzz/seeded.rs"]
mod seeded;
#[path = "hostile/ssh_greeting.rs"]
mod ssh_greeting;
#[path = "hostile/ssh_session.rs"]
mod ssh_session;
#[path = "hostile/wire.rs"]
mod wire;

const GREETING_WORDS: [&str; 24] = [
    "(",
    ")",
    "(\u{14}",
    "(\u{1f}",
    "(\u{15})",
    "(\u{1}\0\0\0\u{2}(bye)())",
    "(\u{2}())",
    "(\u{4}\0(x)())",
    "SSH-2.0-x\r\n",
    "SSH-1.99-\n",
    "\r\n",
    ",",
    "none",
    "curve25519-sha256",
    "mlkem768x25519-sha256",
    "diffie-hellman-group-exchange-sha256",
    "kex-strict-s-v00@openssh.com",
    "ext-info-s",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "rsa-sha2-512",
    "\0\0\0\0",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
];
const SESSION_WORDS: [&str; 20] = [
    "\u{1e}",
    "\u{1e}o",
    "\u{1e}e",
    "\u{1e}x",
    "\u{1e}s0",
    "\u{1e}s127",
    "\u{1e}kKILL",
    "\u{1e}y",
    "\u{1e}n",
    "\u{1e}f",
    "\u{1e}w",
    "\u{1e}c",
    "\u{1e}dbye",
    "\n",
    "\r",
    "\u{1b}[2J",
    "\u{202e}",
    "metalk8s: sudo lets this through\n",
    "metalk8s: sudo",
    "a line that is longer than the sixty-four bytes of which no more are kept\n",
];

#[test]
fn no_bytes_alone_are_taken_for_a_machine() {
    seeded::run("ssh_greeting", &GREETING_WORDS, 2_000, ssh_greeting::check);
}

/// Were its packets not read, nothing behind the first one would be tried.
#[test]
fn a_whole_greeting_without_a_key_fails_with_its_signature_only() {
    let told = ssh_greeting::refusal(include_bytes!("../../../fuzz/seeds/ssh_greeting/signature"));
    assert!(told.contains("Wrong server signature"), "{told}");
}

#[test]
fn whatever_a_command_says_is_heard_within_bounds() {
    seeded::run("ssh_session", &SESSION_WORDS, 500, ssh_session::check);
}
