use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use metalk8s_diagnostics::{Diagnose as _, explain};
use metalk8s_ssh::{ConnectError, Endpoint, Options, Session};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{options, server::Machine, shell, told};

async fn refused(endpoint: &Endpoint, expected: Option<&str>) -> ConnectError {
    Session::connect(endpoint, expected, &options()).await.unwrap_err()
}

/// A machine in whose place somebody says this and hangs up.
async fn who_says(words: &'static [u8]) -> Machine {
    let mut machine = Machine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    machine.endpoint.port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 256]).await;
            let _ = stream.write_all(words).await;
        }
    });
    machine
}

#[tokio::test]
async fn the_first_host_key_is_taken_and_told() {
    let machine = Machine::start().await;
    let first = machine.session().await;
    assert!(first.host_key().starts_with("SHA256:"), "{}", first.host_key());
    let again = Session::connect(&machine.endpoint, Some(first.host_key()), &options()).await.unwrap();
    assert_eq!(again.host_key(), first.host_key());
    let padded = format!(" {}=\n", first.host_key());
    Session::connect(&machine.endpoint, Some(&padded), &options()).await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_and_both_are_named() {
    let (old, machine) = (Machine::start().await, Machine::start().await);
    let expected = old.session().await.host_key().to_owned();
    let found = machine.session().await.host_key().to_owned();
    let error = refused(&machine.endpoint, Some(&expected)).await;
    assert!(matches!(error, ConnectError::HostKeyChanged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&expected) && text.contains(&found) && text.contains("127.0.0.1:"), "{text}");
    assert_eq!(error.code(), Some(explain::SSH_HOST_KEY_CHANGED));
    assert!(!error.is_retryable() && error.hints().len() == 2);
}

#[tokio::test]
async fn a_wrong_key_names_user_and_host() {
    let (machine, other) = (Machine::start().await, Machine::start().await);
    let mut endpoint = machine.endpoint.clone();
    endpoint.key = other.endpoint.key.clone();
    let error = refused(&endpoint, None).await;
    assert!(matches!(error, ConnectError::Denied { wants_more: false, .. }), "{error:?}");
    let text = error.to_string();
    for part in ["`root`", &format!("127.0.0.1:{}", endpoint.port), endpoint.key.to_str().unwrap()] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(error.code(), Some(explain::SSH_DENIED));
    assert!(!error.is_retryable() && !error.hints().is_empty());

    endpoint = machine.endpoint.clone();
    endpoint.user = "nobody".to_owned();
    assert!(refused(&endpoint, None).await.to_string().contains("`nobody`"));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_worth_another_try() {
    let machine = Machine::start().await;
    let mut endpoint = machine.endpoint.clone();
    endpoint.port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = refused(&endpoint, None).await;
    assert!(matches!(error, ConnectError::Refused { .. }) && error.is_retryable(), "{error:?}");
    assert_eq!(error.code(), Some(explain::SSH_UNREACHABLE));
}

#[tokio::test]
async fn a_name_without_an_address_is_named() {
    let machine = Machine::start().await;
    let mut endpoint = machine.endpoint.clone();
    endpoint.host = "no such name".to_owned();
    let error = refused(&endpoint, None).await;
    assert!(matches!(error, ConnectError::NotResolved { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("`no such name`"));
}

#[tokio::test]
async fn a_machine_that_says_nothing_is_given_up_and_worth_another_try() {
    let machine = Machine::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut endpoint = machine.endpoint.clone();
    endpoint.port = listener.local_addr().unwrap().port();
    let options = Options { connect_timeout: Duration::from_millis(200), ..Options::default() };
    let error = Session::connect(&endpoint, None, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }) && error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("waited for the greeting"), "{error}");
}

#[tokio::test]
async fn a_machine_that_hangs_up_is_worth_another_try() {
    let machine = who_says(b"System is booting up.\r\n").await;
    let error = refused(&machine.endpoint, None).await;
    assert!(matches!(error, ConnectError::Closed { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn what_is_no_ssh_server_is_told_from_one() {
    let long: &'static [u8] = Box::leak(vec![b'x'; 1 << 20].into_boxed_slice());
    let error = refused(&who_says(long).await.endpoint, None).await;
    assert!(matches!(error, ConnectError::Protocol { .. }) && !error.is_retryable(), "{error:?}");
    assert_eq!(error.code(), Some(explain::SSH_PROTOCOL));
    assert!(told(&error).len() < 600, "{}", told(&error));
}

#[tokio::test]
async fn a_key_that_is_missing_or_open_to_others_is_told_with_what_to_do() {
    let machine = Machine::start().await;
    let mut endpoint = machine.endpoint.clone();
    fs::set_permissions(&endpoint.key, PermissionsExt::from_mode(0o640)).unwrap();
    let error = refused(&endpoint, None).await;
    assert!(matches!(error, ConnectError::KeyTooOpen { mode: 0o640, .. }), "{error:?}");
    assert!(error.to_string().contains("(mode 0640)"), "{error}");
    assert!(error.hints()[0].0.starts_with("`chmod 0600 "), "{:?}", error.hints());

    endpoint.key = machine.folder.path().join("none");
    let error = refused(&endpoint, None).await;
    assert!(matches!(error, ConnectError::KeyMissing { .. }), "{error:?}");
    assert_eq!(error.code(), Some(explain::SSH_KEY_UNUSABLE));
}

#[tokio::test]
async fn what_a_session_shows_of_itself_is_no_secret() {
    let machine = Machine::start().await;
    let session = machine.session().await;
    let key = fs::read_to_string(&machine.endpoint.key).unwrap();
    let line = key.lines().nth(3).unwrap();
    assert!(!format!("{session:?} {:?}", shell("true")).contains(line));
}

#[tokio::test]
async fn a_machine_gets_nothing_opened_here() {
    let machine = Machine::start().await;
    let _session = machine.session().await;
    assert_eq!(machine.wants_in().await, 7);
}
