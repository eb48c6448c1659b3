//! Private keys in the forms that `ssh-keygen` writes; the files open nothing.

use std::{fs, path::Path};

use metalk8s_ssh::{ConnectError, Session};
use russh::keys::decode_secret_key;

use crate::{
    options,
    server::{Machine, keep_key},
    shell,
};

fn stored(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)).unwrap()
}

async fn failure(text: &str) -> ConnectError {
    let machine = Machine::start().await;
    keep_key(&machine.endpoint.key, text.as_bytes());
    let error = Session::connect(&machine.endpoint, None, &options()).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    for line in text.lines().filter(|line| line.len() > 16 && !line.starts_with('-')) {
        assert!(!shown.contains(&line[..16]), "{shown}");
    }
    error
}

#[tokio::test]
async fn keys_of_all_kinds_and_forms_open_a_machine() {
    for name in ["rsa-openssh", "rsa-pem", "rsa-pkcs8", "ed25519-openssh", "ecdsa-openssh", "ecdsa-pem"] {
        let text = stored(name);
        let machine = Machine::start_for(&decode_secret_key(&text, None).unwrap()).await;
        keep_key(&machine.endpoint.key, text.as_bytes());
        let session = machine.session().await;
        assert!(session.run(&shell("exit 0")).await.unwrap().is_success(), "{name}");
    }
}

#[tokio::test]
async fn an_encrypted_key_is_told_from_a_broken_one() {
    for name in ["encrypted-openssh", "encrypted-pem", "encrypted-pkcs8"] {
        let error = failure(&stored(name)).await;
        assert!(matches!(error, ConnectError::KeyEncrypted { .. }), "{name}: {error:?}");
    }
    let error = failure("no key at all, only words of some length\n").await;
    assert!(matches!(error, ConnectError::KeyUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_key_is_named_and_not_quoted() {
    let whole = stored("rsa-pem");
    let damaged: Vec<&str> =
        whole.lines().enumerate().filter(|(at, _)| *at != 5).map(|(_, line)| line).collect();
    let error = failure(&damaged.join("\n")).await;
    assert!(matches!(error, ConnectError::KeyUnknown { .. }), "{error:?}");
}

#[tokio::test]
async fn the_public_half_is_known_as_such() {
    let key = decode_secret_key(&stored("rsa-pem"), None).unwrap();
    let error = failure(&key.public_key().to_openssh().unwrap()).await;
    assert!(matches!(error, ConnectError::KeyPublic { .. }), "{error:?}");
}
