//! Read: the same each time and not many times longer than it came; its certificate says what is wished,
//! whatever it asks for; with another signature it is refused. Refused: a message on one line. Shared with
//! the fuzz target `certificate_request`.
//!
//! A case is read as the PEM it may be, and as a packed request that is signed here: a change of one that was
//! signed before is found by its signature, and nothing behind that is reached. Packed, `(`, a tag, contents
//! and `)` are a value of DER, whose length is filled in; `$` is our public key; any other byte is itself.

use std::{error::Error, iter};

use jiff::Timestamp;
use metalk8s_pki::{
    AuthorityMaterial, ReadRequestError, Request, RequestedCertificate, Usage, authority, check_certificate,
    inspect_certificate, sign_request,
};
use rcgen::{KeyPair, PublicKeyData, SigningKey};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// Ed25519 (RFC 8410), whose signatures are the same in each run.
const ALGORITHM: [u8; 7] = [0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70];
/// What stands before the 32 bytes of such a key in PKCS #8.
const KEY_HEAD: [u8; 16] = [0x30, 46, 0x02, 1, 0, 0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70, 0x04, 34, 0x04, 32];
const DAY: u64 = 86_400;
/// Words of ours around what is told of the request.
const LONGEST_WORDS: usize = 500;
/// The longest of a name that is told, in characters of up to four bytes.
const LONGEST_NAME: usize = 256;

struct Realm {
    key: KeyPair,
    authority: AuthorityMaterial,
}

thread_local! {
    static REALM: Realm = Realm {
        key: KeyPair::try_from([&KEY_HEAD[..], &[7; 32][..]].concat()).expect("it is a key"),
        authority: authority("kubernetes", 10 * DAY, now()).expect("one can be made").into(),
    };
}

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        check_text(text);
    }
    if let Some(read) = check_text(&packed_request(bytes, 0)) {
        REALM.with(|realm| check_signed(&read, realm));
        let refused = RequestedCertificate::parse(&packed_request(bytes, 1));
        assert!(matches!(refused, Err(ReadRequestError::Unreadable(_))), "{refused:?}");
    }
}

fn check_text(pem: &str) -> Option<RequestedCertificate> {
    let read = || RequestedCertificate::parse(pem).map_err(|err| told(&err));
    let outcome = read();
    assert_eq!(outcome, read());
    match outcome {
        Ok(read) => {
            let summary = read.summary();
            assert!(summary.starts_with(&format!("CN={}", read.common_name())), "{summary:?}");
            // An IPv6 address of 16 bytes has up to 39 characters.
            assert!(summary.len() <= 3 * pem.len(), "{} of {}", summary.len(), pem.len());
            let somebody_else = Request { common_name: format!("{}x", read.common_name()), ..wish() };
            assert!(!read.asks_for(&somebody_else));
            Some(read)
        }
        Err(told) => {
            assert!(told.iter().all(|text| !text.contains(char::is_control)), "{told:?}");
            assert!(told.iter().all(|text| text.len() <= LONGEST_WORDS + 4 * LONGEST_NAME), "{told:?}");
            None
        }
    }
}

/// The authority has signed for the key, and nothing of the request is in the certificate.
fn check_signed(read: &RequestedCertificate, realm: &Realm) {
    let Realm { key, authority } = realm;
    let certificate = sign_request(authority, read, &wish(), now()).expect("what is wished is given");
    let reason =
        check_certificate(&certificate, &key.serialize_pem(), &authority.certificate_pem, &wish(), now());
    assert_eq!(reason, None, "{read:?}");
    assert!(!inspect_certificate(&certificate).expect("it can be read").is_authority, "{read:?}");
}

/// What the seed `kubelet` asks for, too.
pub(crate) fn wish() -> Request {
    Request {
        common_name: "system:node:node-1".to_owned(),
        organizations: vec!["system:nodes".to_owned()],
        usages: vec![Usage::Server, Usage::Client],
        dns_names: vec!["node-1".to_owned()],
        addresses: vec!["10.0.0.1".parse().expect("an address")],
        lifetime_seconds: DAY,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

/// A packed request as PEM; the first byte of its signature differs in the bits of `change`.
pub(crate) fn packed_request(packed: &[u8], change: u8) -> String {
    REALM.with(|Realm { key, .. }| {
        let info = value(SEQUENCE, &unpack(packed, &key.subject_public_key_info()));
        let mut signature = key.sign(&info).expect("a key can sign");
        signature[0] ^= change;
        let signature = value(BIT_STRING, &[&[0][..], &signature[..]].concat());
        let request = value(SEQUENCE, &[&info[..], &ALGORITHM[..], &signature[..]].concat());
        pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", request))
    })
}

/// What is not closed is closed at the end.
fn unpack(packed: &[u8], public_key: &[u8]) -> Vec<u8> {
    // What stands around the value that is read: the contents so far, and the tag of the next inner one.
    let mut around: Vec<(Vec<u8>, u8)> = Vec::new();
    let mut contents = Vec::new();
    let mut bytes = packed.iter().copied();
    loop {
        match bytes.next() {
            Some(b'(') => around.push((std::mem::take(&mut contents), bytes.next().unwrap_or(SEQUENCE))),
            Some(b'$') => contents.extend(public_key),
            Some(byte) if byte != b')' => contents.push(byte),
            end => match (around.pop(), end) {
                (Some((mut outer, tag)), _) => {
                    outer.extend(value(tag, &contents));
                    contents = outer;
                }
                (None, Some(_)) => {}
                (None, None) => return contents,
            },
        }
    }
}

/// A value of DER. Lengths from 128 on have as many digits as they need, and their number before them.
fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(length @ ..128) => bytes.push(length),
        _ => {
            let length = contents.len().to_be_bytes();
            let digits: Vec<u8> = length.into_iter().skip_while(|digit| *digit == 0).collect();
            bytes.push(0x80 | u8::try_from(digits.len()).expect("a length has at most 8 bytes"));
            bytes.extend(digits);
        }
    }
    bytes.extend(contents);
    bytes
}

/// The error and its causes.
fn told(err: &(dyn Error + 'static)) -> Vec<String> {
    iter::successors(Some(err), |&err| err.source()).map(ToString::to_string).collect()
}
