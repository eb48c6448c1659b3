//! Bytes that were made before the connection was, from the greeting of an SSH server to the end of the key
//! exchange: they are refused, since what a server signs is new each time. The refusal is told in short lines.
//! Shared with the fuzz target `ssh_greeting`.
//!
//! A case is packed, because a wrong length would hide all that follows it: `(` and `)` stand around what is sent
//! with its length before it. Outermost that is a packet of the protocol (RFC 4253, section 6), within one a string
//! (RFC 4251, section 5). Any other byte is itself.

use std::{io::Cursor, mem};

use metalk8s_ssh::{ConnectError, Session};
use tokio::io::{join, sink};

use crate::wire::{endpoint, options, run, told};

pub(crate) fn check(bytes: &[u8]) {
    let told = refusal(bytes);
    // A panic of the task that reads would be told like any other end of the connection.
    assert!(!told.contains("panicked"), "{told}");
}

/// What people are told.
pub(crate) fn refusal(packed: &[u8]) -> String {
    let stream = join(Cursor::new(unpacked(packed)), sink());
    match run(Session::over(stream, &endpoint(false), None, &options())) {
        Err(error @ (ConnectError::Closed { .. } | ConnectError::Protocol { .. })) => told(&error),
        Err(error) => panic!("{error:?}"),
        Ok(session) => panic!("{session:?}"),
    }
}

/// What is not closed is closed at the end.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    // What stands around the piece that is read.
    let mut around: Vec<Vec<u8>> = Vec::new();
    let mut contents = Vec::new();
    let mut bytes = packed.iter().copied();
    loop {
        match bytes.next() {
            Some(b'(') => around.push(mem::take(&mut contents)),
            Some(byte) if byte != b')' => contents.push(byte),
            end => match (around.pop(), end) {
                (Some(mut outer), _) => {
                    outer.extend(if around.is_empty() { packet(&contents) } else { string(&contents) });
                    contents = outer;
                }
                (None, Some(_)) => {}
                (None, None) => return contents,
            },
        }
    }
}

/// With at least four bytes of padding, a multiple of eight in all.
fn packet(payload: &[u8]) -> Vec<u8> {
    let fill = 8 - (5 + payload.len()) % 8;
    let padding = if fill < 4 { fill + 8 } else { fill };
    let length = u8::try_from(padding).expect("at most eleven");
    string(&[&[length][..], payload, &[0; 11][..padding]].concat())
}

fn string(contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).expect("a case is small");
    [&length.to_be_bytes()[..], contents].concat()
}
