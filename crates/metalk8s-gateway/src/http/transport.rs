use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use rustix::net::{SendFlags, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes that a client may still send after an answer that closes the connection.
const LINGER_BYTES: usize = 256 * 1024;
/// Time it may take for that.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A client's connection.
pub(super) enum Transport {
    /// Shared, because a file may be sent from a thread that is allowed to wait for the disk.
    Plain(Arc<TcpStream>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Appends at most `most` bytes; 0 means that the client has closed its side.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let mut space = buffer.limit(most);
        match self {
            Self::Plain(stream) => loop {
                match stream.try_read_buf(&mut space) {
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                    done => return done,
                }
            },
            Self::Tls(stream) => stream.read_buf(&mut space).await,
        }
    }

    /// Writes all of it. `more` tells the kernel that the rest of the packet follows at once.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8], more: bool) -> io::Result<()> {
        match self {
            Self::Plain(stream) => {
                let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
                while !bytes.is_empty() {
                    let sent = stream
                        .async_io(Interest::WRITABLE, || {
                            rustix::net::send(stream.as_ref(), bytes, flags).map_err(io::Error::from)
                        })
                        .await?;
                    bytes = &bytes[sent..];
                }
                Ok(())
            }
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                if more { Ok(()) } else { stream.flush().await }
            }
        }
    }

    /// Ends the connection so that the client gets to read our last answer: closing a socket that has unread
    /// bytes resets it, and the kernel then drops what is still on its way.
    pub(super) async fn finish(mut self) {
        let farewell = async {
            match &mut self {
                Self::Plain(stream) => rustix::net::shutdown(stream.as_ref(), Shutdown::Write)?,
                Self::Tls(stream) => stream.shutdown().await?,
            }
            let mut unread = Vec::with_capacity(4096);
            let mut total = 0;
            while total < LINGER_BYTES {
                unread.clear();
                match self.read(&mut unread, 4096).await? {
                    0 => break,
                    count => total += count,
                }
            }
            io::Result::Ok(())
        };
        // The client is gone, or stays silent: either way there is nobody left to tell.
        tokio::time::timeout(LINGER_TIME, farewell).await.ok();
    }
}
