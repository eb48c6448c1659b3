//! What is watched during a connection: that the machine stays who it is, and why it goes away.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use russh::{
    Channel,
    client::{self, ChannelOpenHandle, DisconnectReason, Msg},
    keys::{HashAlg, PublicKeyOrCertificate},
};

use crate::words::{QUOTED, shown};

const CLOSED: &str = "the machine closed the connection";

/// What was seen, shared with the session.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    host_key: Mutex<Option<String>>,
    parting: Mutex<Option<String>>,
}

impl Seen {
    /// The fingerprint of the last host key that was shown, accepted or not.
    pub(crate) fn host_key(&self) -> Option<String> {
        self.host_key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the connection ended, where that is known.
    pub(crate) fn parting(&self) -> Option<String> {
        self.parting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(place: &Mutex<Option<String>>, value: String) {
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

/// Judges the machine. With nothing expected, the first key is taken, and then only that one.
pub(crate) struct Watcher {
    expected: Option<String>,
    seen: Arc<Seen>,
}

impl Watcher {
    pub(crate) fn new(expected: Option<&str>, seen: Arc<Seen>) -> Self {
        Self { expected: expected.map(normal), seen }
    }
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // Certificates are not asked for, so none can be trusted.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let found = key.fingerprint(HashAlg::Sha256).to_string();
        Seen::set(&self.seen.host_key, found.clone());
        Ok(*self.expected.get_or_insert_with(|| found.clone()) == found)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        let (said, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                (format!("the machine says: {}", shown(info.message.as_bytes(), QUOTED)), Ok(()))
            }
            DisconnectReason::Error(error) => (described(&error), Err(error)),
        };
        Seen::set(&self.seen.parting, said);
        result
    }

    // A handle that is dropped unused refuses. We never ask a machine to open anything.
    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// An error of the protocol in words; it may quote the other side.
pub(crate) fn described(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
            "the machine does not answer any more".to_owned()
        }
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::SendError | russh::Error::RecvError => {
            CLOSED.to_owned()
        }
        russh::Error::IO(error) if error.kind() == io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
        other => shown(other.to_string().as_bytes(), QUOTED),
    }
}

/// A fingerprint as it may be typed: `ssh-keygen` leaves the padding out, others do not.
fn normal(fingerprint: &str) -> String {
    fingerprint.trim().trim_end_matches('=').to_owned()
}
