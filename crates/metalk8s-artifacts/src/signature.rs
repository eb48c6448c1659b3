//! Signatures of the manifest: Ed25519, keys in PEM as openssl(1) reads them, signatures as one line of base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding,
    },
};

use crate::digest::sha256;

/// Where an archive carries the public key that it is signed with.
pub const PUBLIC_KEY: &str = "keys/archive.pub";
/// The largest key or signature that is read, in bytes.
pub const LIMIT: u64 = 16 * 1024;

/// Why a key or a signature cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// The private key is not Ed25519 in PEM.
    #[error("the signing key is not an Ed25519 key in PEM (PKCS #8)")]
    PrivateKey,
    /// The public key is not Ed25519 in PEM.
    #[error("the public key is not an Ed25519 key in PEM")]
    PublicKey,
    /// The signature is not 64 bytes in base64.
    #[error("the signature is not one line of base64 with 64 bytes")]
    Malformed,
    /// Other bytes were signed, or with another key.
    #[error("the signature does not match")]
    Mismatch,
}

/// A private key. It has no `Debug` and is never printed.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Makes a key of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PEM.
    pub fn parse(pem: &str) -> Result<Self, SignatureError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| SignatureError::PrivateKey)
    }

    /// PEM, to be kept in a private file.
    pub fn to_pem(&self) -> String {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key can always be encoded").to_string()
    }

    /// The public key, in PEM.
    pub fn public_pem(&self) -> String {
        self.0
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .expect("an Ed25519 key can always be encoded")
    }

    /// The signature of `bytes`, one line.
    pub fn sign(&self, bytes: &[u8]) -> String {
        format!("{}\n", STANDARD.encode(self.0.sign(bytes).to_bytes()))
    }
}

/// Checks that `signature`, a line as [`PrivateKey::sign`] writes it, was made over `bytes` with the private half of
/// `public_pem`.
pub fn check(bytes: &[u8], signature: &[u8], public_pem: &[u8]) -> Result<(), SignatureError> {
    let key = public_key(public_pem)?;
    let line = signature.strip_suffix(b"\n").ok_or(SignatureError::Malformed)?;
    let raw = STANDARD.decode(line).map_err(|_| SignatureError::Malformed)?;
    let signature = Signature::from_slice(&raw).map_err(|_| SignatureError::Malformed)?;
    key.verify_strict(bytes, &signature).map_err(|_| SignatureError::Mismatch)
}

/// A short name of a public key, for people to compare: `SHA256:` and 16 hexadecimal digits.
pub fn fingerprint(public_pem: &[u8]) -> Result<String, SignatureError> {
    Ok(format!("SHA256:{}", &sha256(public_key(public_pem)?.as_bytes())[..16]))
}

fn public_key(pem: &[u8]) -> Result<VerifyingKey, SignatureError> {
    let text = std::str::from_utf8(pem).map_err(|_| SignatureError::PublicKey)?;
    VerifyingKey::from_public_key_pem(text).map_err(|_| SignatureError::PublicKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_only() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let other = PrivateKey::from_seed(&[8; 32]);
        let signature = key.sign(b"text");
        let public = key.public_pem();
        assert_eq!(check(b"text", signature.as_bytes(), public.as_bytes()), Ok(()));
        assert_eq!(check(b"texu", signature.as_bytes(), public.as_bytes()), Err(SignatureError::Mismatch));
        assert_eq!(
            check(b"text", signature.as_bytes(), other.public_pem().as_bytes()),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn a_key_survives_its_pem() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let again = PrivateKey::parse(&key.to_pem()).unwrap();
        assert_eq!(again.public_pem(), key.public_pem());
    }

    #[test]
    fn rubbish_is_named_for_what_it_is() {
        let public = PrivateKey::from_seed(&[7; 32]).public_pem();
        assert_eq!(check(b"", b"!!!", public.as_bytes()), Err(SignatureError::Malformed));
        assert_eq!(check(b"", b"AAAA", public.as_bytes()), Err(SignatureError::Malformed));
        assert_eq!(check(b"", b"AAAA", b"\xff"), Err(SignatureError::PublicKey));
        assert!(PrivateKey::parse("no key").is_err());
    }
}
