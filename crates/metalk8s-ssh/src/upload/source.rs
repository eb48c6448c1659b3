//! The file that is sent, counted and digested on its way.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

pub(super) struct Source<R, F> {
    reader: R,
    tell: F,
    sent: u64,
    digest: Sha256,
    is_whole: bool,
}

impl<R, F: FnMut(u64)> Source<R, F> {
    pub(super) fn new(reader: R, tell: F) -> Self {
        Self { reader, tell, sent: 0, digest: Sha256::new(), is_whole: false }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The digest of it, when it was read to its end.
    pub(super) fn digest(&self) -> Option<String> {
        self.is_whole.then(|| hex::encode(self.digest.clone().finalize()))
    }
}

impl<R: AsyncRead + Unpin, F: FnMut(u64) + Unpin> AsyncRead for Source<R, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(cx, buffer))?;
        let this = self.get_mut();
        let read = &buffer.filled()[before..];
        this.digest.update(read);
        this.sent += read.len() as u64;
        this.is_whole = read.is_empty();
        if !this.is_whole {
            (this.tell)(this.sent);
        }
        Poll::Ready(Ok(()))
    }
}
