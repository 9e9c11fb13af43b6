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

/// Bytes read at a time. Smaller blocks cost more calls, larger ones fall out of the
/// processor's cache between reading and sending.
const BLOCK: usize = 256 << 10;
/// Blocks that are read while one is being sent. With [`BLOCK`] that is the whole memory of a
/// connection.
const AHEAD: usize = 4;

/// The body of a `PUT`: a range of a file. One thread reads large blocks ahead into a short
/// channel; reading through the asynchronous file type costs ten times as much.
pub(super) struct UploadBody {
    receiver: mpsc::Receiver<PooledBlock>,
    /// Bytes that have not been given out yet.
    left: u64,
    handed: Arc<AtomicU64>,
    /// Nothing is given out before this.
    gate: Option<BoxFuture<'static, ()>>,
}

/// What belongs to a body and is looked at from outside.
pub(super) struct Watched {
    /// What the reading came to. Nothing comes when nobody wanted all of it.
    pub(super) outcome: oneshot::Receiver<Result<Sent, UploadError>>,
    /// Bytes that the connection has asked for; some of them may wait in its own memory.
    pub(super) handed: Arc<AtomicU64>,
}

impl UploadBody {
    /// Begins to read.
    pub(super) fn read(
        file: File,
        start: u64,
        length: u64,
        pool: Pool,
        limiter: Option<Arc<RateLimiter>>,
        gate: Option<BoxFuture<'static, ()>>,
    ) -> io::Result<(Self, Watched)> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (notify, outcome) = oneshot::channel();
        let watched = Watched { outcome, handed: Arc::default() };
        let handed = watched.handed.clone();
        let reader = std::thread::Builder::new().name("reader".into());
        reader.spawn(move || {
            let read = read_ahead(&file, start..start + length, &pool, limiter.as_deref(), &sender);
            // Known before the channel closes, so that whoever sees its end can ask why.
            if let Some(read) = read {
                let _ = notify.send(read); // unheard when the upload was given up
            }
        })?;
        Ok((Self { receiver, left: length, handed, gate }, watched))
    }
}

/// `None` when nobody wants the blocks any more.
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
            Ok(0) => return Some(Err(UploadError::Changed)), // shorter than it was
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

/// Reads at a place, without moving anybody else's.
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

/// Buffers in turn: fresh ones would cost page faults on every block.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    fn take(&self) -> PooledBlock {
        let used = self.0.lock().ok().and_then(|mut pool| pool.pop());
        PooledBlock { buffer: used.unwrap_or_else(|| vec![0; BLOCK]), length: 0, pool: self.clone() }
    }
}

/// A block that returns its buffer to the pool once it is sent.
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
