//! The streamed body of an upload request.

use super::checksum::{Checksums, Sent};
use super::error::UploadError;
use super::rate_limiter::RateLimiter;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Block size in bytes. Smaller blocks cost more system calls, larger ones leave the CPU cache
/// between reading and sending.
const BLOCK: usize = 256 << 10;
/// Blocks read ahead. Times [`BLOCK`], this bounds the memory of a connection.
const AHEAD: usize = 4;

/// The body of a `PUT`: a range of a file. A thread reads blocks ahead into a bounded channel;
/// reading with `tokio::fs` is ten times as expensive.
pub(super) struct UploadBody {
    receiver: mpsc::Receiver<PooledBlock>,
    /// Bytes not yet passed to the connection.
    left: u64,
    handed: Arc<AtomicU64>,
    /// Delays the first block until ready.
    gate: Option<BoxFuture<'static, ()>>,
}

/// The observable state of a body.
pub(super) struct BodyHandle {
    /// The result of reading. Closed without a value if the body was dropped early.
    pub(super) outcome: oneshot::Receiver<Result<Sent, UploadError>>,
    /// Bytes passed to the connection; some may still be in its buffers.
    pub(super) handed: Arc<AtomicU64>,
}

impl UploadBody {
    /// Starts reading.
    pub(super) fn read(
        file: File,
        start: u64,
        length: u64,
        pool: Pool,
        limiter: Option<Arc<RateLimiter>>,
        gate: Option<BoxFuture<'static, ()>>,
    ) -> io::Result<(Self, BodyHandle)> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (notify, outcome) = oneshot::channel();
        let handle = BodyHandle { outcome, handed: Arc::default() };
        let handed = handle.handed.clone();
        let reader = std::thread::Builder::new().name("reader".into());
        reader.spawn(move || {
            let read = read_ahead(&file, start..start + length, &pool, limiter.as_deref(), &sender);
            // Sent before the channel closes, so that the result is available at the end of the body.
            if let Some(read) = read {
                let _ = notify.send(read); // fails if the upload was aborted
            }
        })?;
        Ok((Self { receiver, left: length, handed, gate }, handle))
    }
}

/// Reads a range block by block; `None` if the receiver was dropped.
fn read_ahead(
    file: &File,
    range: std::ops::Range<u64>,
    pool: &Pool,
    limiter: Option<&RateLimiter>,
    sender: &mpsc::Sender<PooledBlock>,
) -> Option<Result<Sent, UploadError>> {
    let (mut at, mut sums) = (range.start, Checksums::new(file, range.start));
    let most = limiter.map_or(BLOCK, |limiter| limiter.block(BLOCK));
    while at < range.end {
        let mut block = pool.take();
        let wanted = usize::try_from(range.end - at).map_or(most, |left| left.min(most));
        block.length = match read_at(file, &mut block.buffer[..wanted], at) {
            Ok(0) => return Some(Err(UploadError::Changed)), // truncated
            Ok(length) => length,
            Err(error) => return Some(Err(UploadError::Read(error))),
        };
        at += block.length as u64;
        if let Err(error) = sums.add(block.as_ref(), Instant::now()) {
            return Some(Err(UploadError::Read(error)));
        }
        if let Some(limiter) = limiter {
            std::thread::sleep(limiter.wait(block.length, Instant::now()));
        }
        sender.blocking_send(block).ok()?;
    }
    Some(sums.finish().map_err(UploadError::Read))
}

/// Reads at an offset, without moving the file's cursor on Unix.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, buffer, at);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, at);
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.as_mut().poll(context));
            self.gate = None;
        }
        let Some(block) = ready!(self.receiver.poll_recv(context)) else { return Poll::Ready(None) };
        self.left -= block.length as u64;
        self.handed.fetch_add(block.length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(block)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reused buffers: new ones would cost page faults for every block.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    fn take(&self) -> PooledBlock {
        let used = self.0.lock().ok().and_then(|mut pool| pool.pop());
        PooledBlock { buffer: used.unwrap_or_else(|| vec![0; BLOCK]), length: 0, pool: self.clone() }
    }
}

/// A block that returns its buffer to the pool on drop.
pub(super) struct PooledBlock {
    buffer: Vec<u8>,
    length: usize,
    pool: Pool,
}

impl AsRef<[u8]> for PooledBlock {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for PooledBlock {
    fn drop(&mut self) {
        if let Ok(mut pool) = self.pool.0.lock() {
            pool.push(std::mem::take(&mut self.buffer));
        }
    }
}
