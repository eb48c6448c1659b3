//! Passwords on private keys, as OpenSSL writes and reads them (RFC 5958, RFC 8018: PBES2 with scrypt and AES-256).

use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};

/// What a protected key is called in PEM (RFC 7468, section 11).
const PROTECTED: &str = "ENCRYPTED PRIVATE KEY";
/// What an open one is called (RFC 7468, section 10).
const OPEN: &str = "PRIVATE KEY";

/// Why a key could not be protected or opened. It never quotes key or password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProtectError {
    /// It is no private key in PKCS #8.
    #[error("it is no private key in PEM (PKCS #8)")]
    NoKey,
    /// It has no password yet, or has one already.
    #[error("it is {0}")]
    Already(&'static str),
    /// The password is another one.
    #[error("the password is wrong")]
    Password,
    /// Nothing would be protected.
    #[error("the password is empty")]
    EmptyPassword,
}

/// Whether the PEM text is a key with a password.
pub fn is_protected(key_pem: &str) -> bool {
    label(key_pem) == Some(PROTECTED)
}

/// The key, with a password that it cannot be used without. PEM in, PEM out.
///
/// # Errors
/// When it is no open key, or the password is empty.
pub fn protect(key_pem: &str, password: &str) -> Result<String, ProtectError> {
    if password.is_empty() {
        return Err(ProtectError::EmptyPassword);
    }
    if is_protected(key_pem) {
        return Err(ProtectError::Already("protected by a password already"));
    }
    let document = read(key_pem, OPEN)?;
    let key = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| ProtectError::NoKey)?;
    let protected = key.encrypt(password).map_err(|_| ProtectError::NoKey)?;
    write(&protected, PROTECTED)
}

/// The key without its password. PEM in, PEM out.
///
/// # Errors
/// When it is no protected key, or the password is another one.
pub fn unprotect(key_pem: &str, password: &str) -> Result<String, ProtectError> {
    if label(key_pem) == Some(OPEN) {
        return Err(ProtectError::Already("not protected by a password"));
    }
    let document = read(key_pem, PROTECTED)?;
    let key = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| ProtectError::NoKey)?;
    // What is decrypted with another password is no key, if it is anything.
    let open = key.decrypt(password).map_err(|_| ProtectError::Password)?;
    PrivateKeyInfoRef::try_from(open.as_bytes()).map_err(|_| ProtectError::Password)?;
    write(&open, OPEN)
}

fn label(pem: &str) -> Option<&str> {
    pem.trim_start().strip_prefix("-----BEGIN ")?.split_once("-----").map(|(label, _)| label)
}

fn read(pem: &str, wanted: &str) -> Result<SecretDocument, ProtectError> {
    match SecretDocument::from_pem(pem) {
        Ok((label, document)) if label == wanted => Ok(document),
        _ => Err(ProtectError::NoKey),
    }
}

fn write(document: &SecretDocument, label: &'static str) -> Result<String, ProtectError> {
    let pem = document.to_pem(label, LineEnding::LF).map_err(|_| ProtectError::NoKey)?;
    Ok(pem.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use jiff::Timestamp;

    use super::*;
    use crate::{authority, check_authority};

    #[test]
    fn a_key_comes_back_with_its_password_and_with_no_other() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ca = authority("kubernetes", 86_400, now).unwrap();
        let protected = protect(&ca.key_pem, "correct horse").unwrap();
        assert!(is_protected(&protected) && !is_protected(&ca.key_pem));
        assert_eq!(unprotect(&protected, "correct hors"), Err(ProtectError::Password));
        assert_eq!(unprotect(&protected, ""), Err(ProtectError::Password));
        let open = unprotect(&protected, "correct horse").unwrap();
        assert_eq!(check_authority(&ca.certificate_pem, &open, "kubernetes", now), None);
        assert!(check_authority(&ca.certificate_pem, &protected, "kubernetes", now).is_some());
    }

    #[test]
    fn what_is_protected_twice_or_not_at_all_or_no_key_is_told() {
        let key = crate::key_pair().unwrap().private_pem;
        let protected = protect(&key, "x").unwrap();
        assert_eq!(protect(&key, ""), Err(ProtectError::EmptyPassword));
        assert!(matches!(protect(&protected, "x"), Err(ProtectError::Already(_))));
        assert!(matches!(unprotect(&key, "x"), Err(ProtectError::Already(_))));
        assert_eq!(protect("nonsense", "x"), Err(ProtectError::NoKey));
        assert_eq!(unprotect("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "x"), Err(ProtectError::NoKey));
    }

    #[test]
    fn openssl_opens_a_protected_key() {
        let key = crate::key_pair().unwrap().private_pem;
        let protected = protect(&key, "correct horse").unwrap();
        let mut openssl = Command::new("openssl")
            .args(["pkey", "-passin", "pass:correct horse"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(protected.as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
