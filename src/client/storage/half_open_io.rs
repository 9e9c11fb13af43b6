//! A connection that can still be read after writing fails.

use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

/// Any connection.
pub(super) trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// The observable state of a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Bytes written so far, headers included.
    pub(super) accepted: AtomicU64,
    /// The write error, if writing failed.
    pub(super) broken: Mutex<Option<io::Error>>,
}

/// A connection whose peer may respond before it has read the whole request. After a write
/// error the response is still read, because it is more specific than "broken pipe".
pub(super) struct HalfOpenIo {
    inner: Box<dyn Io>,
    state: Arc<ConnectionState>,
    is_broken: bool,
}

impl HalfOpenIo {
    pub(super) fn new(inner: Box<dyn Io>, state: Arc<ConnectionState>) -> Self {
        Self { inner, state, is_broken: false }
    }

    /// Stores a write error and returns `Pending`; the read side ends the connection.
    fn unless_broken<T>(&mut self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match ready!(done) {
            Ok(done) => Poll::Ready(Ok(done)),
            Err(error) => {
                self.is_broken = true;
                if let Ok(mut broken) = self.state.broken.lock() {
                    *broken = Some(error);
                }
                Poll::Pending
            }
        }
    }

    fn counted(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.unless_broken(written).map_ok(|length| {
            self.state.accepted.fetch_add(length as u64, Ordering::Relaxed);
            length
        })
    }
}

impl Write for HalfOpenIo {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.counted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.counted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.unless_broken(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Read for HalfOpenIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, bytes)
    }
}
