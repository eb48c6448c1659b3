use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::ReadWriteFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::connection::Patience;
use super::response::{Body, Response};
use super::transport::Transport;

/// Bodies in memory up to this size go out in one write with their head.
const JOIN_BYTES: usize = 32 * 1024;
/// What is sent of a file in one go, before other clients get their turn.
const FILE_STEP: u64 = 1024 * 1024;
/// What is read of a file in one go where the bytes have to be encrypted: the memory of one such answer.
const TLS_STEP: usize = 64 * 1024;

/// Why an answer did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransmitError {
    #[error("the client went away")]
    Client(#[source] io::Error),
    #[error("the client takes no more bytes")]
    Stalled,
    #[error("the file could not be read")]
    File(#[source] io::Error),
    #[error("the file is shorter than it was")]
    Truncated,
}

/// Sends an answer; returns the number of bytes of its body.
pub(super) async fn transmit(
    transport: &mut Transport,
    response: Response,
    keep_alive: bool,
    with_body: bool,
    patience: &mut Patience<'_>,
) -> Result<u64, TransmitError> {
    let mut head = response.head(keep_alive);
    let len = response.body.len();
    if !with_body || len == 0 {
        return write(transport, &head, false, patience).await.map(|()| 0);
    }
    match response.body {
        Body::Bytes(bytes) if bytes.len() <= JOIN_BYTES => {
            head.extend_from_slice(&bytes);
            write(transport, &head, false, patience).await?;
        }
        Body::Bytes(bytes) => {
            write(transport, &head, true, patience).await?;
            for part in bytes.chunks(TLS_STEP) {
                write(transport, part, false, patience).await?;
            }
        }
        Body::File { file, path, start, .. } => {
            write(transport, &head, true, patience).await?;
            let file = Arc::new(file);
            let sent = match transport {
                Transport::Plain(stream) => send_file(stream, &file, start, len, patience).await,
                Transport::Tls(_) => copy_file(transport, &file, start, len, patience).await,
            };
            tell_of_bad_file(&path, &sent);
            sent?;
        }
    }
    Ok(len)
}

async fn write(
    transport: &mut Transport,
    bytes: &[u8],
    more: bool,
    patience: &mut Patience<'_>,
) -> Result<(), TransmitError> {
    let written = patience.for_progress(transport.write_all(bytes, more)).await;
    written.ok_or(TransmitError::Stalled)?.map_err(TransmitError::Client)
}

/// From the page cache to the socket, inside the kernel.
async fn send_file(
    stream: &Arc<TcpStream>,
    file: &Arc<File>,
    start: u64,
    len: u64,
    patience: &mut Patience<'_>,
) -> Result<(), TransmitError> {
    let end = start + len;
    let mut offset = start;
    while offset < end {
        let step = (end - offset).min(FILE_STEP);
        let sent = if is_in_memory(file, offset, step) {
            send_step(stream, file, offset, step)
        } else {
            let (stream, file) = (Arc::clone(stream), Arc::clone(file));
            tokio::task::spawn_blocking(move || send_step(&stream, &file, offset, step))
                .await
                .unwrap_or_else(|err| Err(io::Error::other(err)))
        };
        match sent {
            Ok(0) => return Err(TransmitError::Truncated),
            Ok(count) => {
                offset += count as u64;
                tokio::task::yield_now().await;
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                let writable = patience.for_progress(stream.writable()).await;
                writable.ok_or(TransmitError::Stalled)?.map_err(TransmitError::Client)?;
            }
            Err(err) if is_of_client(&err) => return Err(TransmitError::Client(err)),
            Err(err) => return Err(TransmitError::File(err)),
        }
    }
    Ok(())
}

fn send_step(stream: &TcpStream, file: &File, mut offset: u64, step: u64) -> io::Result<usize> {
    let step = usize::try_from(step).map_err(io::Error::other)?;
    stream.try_io(Interest::WRITABLE, || {
        rustix::fs::sendfile(stream, file, Some(&mut offset), step).map_err(io::Error::from)
    })
}

/// sendfile tells failures of the socket and of the file alike.
fn is_of_client(err: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        err.kind(),
        Kind::BrokenPipe
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

/// Whether sending this part needs no disk, judged by its first and last byte. Where the file system cannot
/// tell (ISO 9660 and FUSE cannot), the answer is no, which costs a change of threads and nothing else.
fn is_in_memory(file: &File, offset: u64, len: u64) -> bool {
    [offset, offset + len - 1].into_iter().all(|position| {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut buffers, position, ReadWriteFlags::NOWAIT).is_ok()
    })
}

async fn copy_file(
    transport: &mut Transport,
    file: &Arc<File>,
    start: u64,
    len: u64,
    patience: &mut Patience<'_>,
) -> Result<(), TransmitError> {
    let end = start + len;
    let mut offset = start;
    let mut buffer = vec![0; TLS_STEP];
    while offset < end {
        let step = usize::try_from(end - offset).map_or(TLS_STEP, |rest| rest.min(TLS_STEP));
        let file = Arc::clone(file);
        let (returned, count) = tokio::task::spawn_blocking(move || {
            let count = file.read_at(&mut buffer[..step], offset);
            (buffer, count)
        })
        .await
        .map_err(|err| TransmitError::File(io::Error::other(err)))?;
        buffer = returned;
        let count = count.map_err(TransmitError::File)?;
        if count == 0 {
            return Err(TransmitError::Truncated);
        }
        offset += count as u64;
        write(transport, &buffer[..count], offset < end, patience).await?;
    }
    Ok(())
}

fn tell_of_bad_file(path: &Path, sent: &Result<(), TransmitError>) {
    if let Err(err @ (TransmitError::File(_) | TransmitError::Truncated)) = sent {
        tracing::error!(path = %path.display(), error = err as &dyn std::error::Error, "could not send a file");
    }
}
