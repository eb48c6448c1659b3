//! Whatever a node sends as a request for a certificate: it is read, or refused. See fuzz/README.md.

use metalk8s_pki::RequestedCertificate;

#[path = "hostile/certificate_request.rs"]
mod certificate_request;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

/// Packed pieces of DER: types of text, names of a subject, extensions.
const WORDS: [&str; 20] = [
    "(0",
    "(1",
    ")",
    "$",
    "(\u{c}x)",
    "(\u{13}a\nb)",
    "(\u{16}\u{7f})",
    "(\u{1e}\0x)",
    "(\u{6}U\u{4}\u{3})",
    "(\u{6}U\u{4}\u{a})",
    "(\u{6}U\u{4}a)",
    "(1(0(\u{6}U\u{4}\u{3})(\u{c}system:masters)))",
    "(\u{6}U\u{1d}\u{11})",
    "(\u{6}U\u{1d}\u{f})",
    "(\u{6}U\u{1d}%)",
    "(0(\u{6}U\u{1d}\u{13})(\u{4}(0(\u{1}\u{1}))))",
    "(\u{3}\u{2}\u{4})",
    "\u{1b}[2J",
    "-----BEGIN CERTIFICATE REQUEST-----\n",
    "AAAA",
];

#[test]
fn any_request_is_refused_or_read_and_its_certificate_says_what_is_wished() {
    seeded::run("certificate_request", &WORDS, 5_000, certificate_request::check);
}

/// Were it not read, nothing behind the signature would be tried.
#[test]
fn the_packed_request_of_a_kubelet_is_signed_and_read() {
    let packed = include_bytes!("../../../fuzz/seeds/certificate_request/kubelet");
    let request = certificate_request::packed_request(packed, 0);
    let read = RequestedCertificate::parse(&request).expect("it is a request");
    assert!(read.asks_for(&certificate_request::wish()), "{}", read.summary());
}
