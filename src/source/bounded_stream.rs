//! A connection with limits on what the peer may send.

use memchr::memmem;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Bytes at the start of a connection that are scanned for the login.
const LOGIN_SCAN_BYTES: usize = 16 << 10;

/// Maximum number of digits in the SCRAM iteration count (RFC 5802, `i=`). The client computes
/// every iteration; a million take about a second, and Postgres defaults to 4096.
const MAX_ITERATION_DIGITS: usize = 6;

/// A connection to an untrusted server, with limits on the bytes received and on the SCRAM
/// iteration count.
#[derive(Debug)]
pub(crate) struct BoundedStream<S> {
    stream: S,
    most: u64,
    read: u64,
    /// The first [`LOGIN_SCAN_BYTES`] bytes received: the iteration count may be split across reads. `None`
    /// for a trusted server.
    login: Option<Vec<u8>>,
}

impl<S> BoundedStream<S> {
    pub(crate) fn new(stream: S, most: u64) -> Self {
        Self { stream, most, read: 0, login: Some(Vec::new()) }
    }

    /// Wraps a connection to a trusted server: limits only the bytes received.
    #[cfg(feature = "server")]
    pub(crate) fn counted(stream: S, most: u64) -> Self {
        Self { stream, most, read: 0, login: None }
    }

    fn check(&mut self, block: &[u8]) -> io::Result<()> {
        if let Some(login) = self.login.as_mut().filter(|login| login.len() < LOGIN_SCAN_BYTES) {
            login.extend_from_slice(&block[..block.len().min(LOGIN_SCAN_BYTES - login.len())]);
            if requests_too_many_iterations(login) {
                return Err(io::Error::other("the server requested too many SCRAM iterations for the password"));
            }
        }
        self.read += block.len() as u64;
        if self.read > self.most {
            let why = "the server sent too much data";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(())
    }
}

/// Whether a login message requests too many SCRAM iterations.
fn requests_too_many_iterations(login: &[u8]) -> bool {
    memmem::find_iter(login, b",i=")
        .any(|at| login[at + 3..].iter().take_while(|byte| byte.is_ascii_digit()).count() > MAX_ITERATION_DIGITS)
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.check(&buf.filled()[before..])?;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for BoundedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Applies the iteration limit to the decrypted stream: the login of an encrypted connection is
/// readable only there.
pub(super) struct LimitedTls<C>(pub(super) C);

impl<S, C> TlsConnect<S> for LimitedTls<C>
where
    C: TlsConnect<S>,
    C::Future: Send + 'static,
    C::Stream: Unpin,
{
    type Stream = BoundedStream<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, C::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.0.connect(stream);
        Box::pin(async move { Ok(BoundedStream::new(connecting.await?, u64::MAX)) })
    }
}

#[cfg(test)]
mod tests {
    use super::requests_too_many_iterations;

    #[test]
    fn hash_iterations_are_limited() {
        assert!(!requests_too_many_iterations(b"R\0\0\0\x5c\0\0\0\x0br=abc,s=def==,i=4096"));
        assert!(!requests_too_many_iterations(b"r=a,s=b,i=999999"));
        assert!(requests_too_many_iterations(b"r=a,s=b,i=1000000"));
        assert!(requests_too_many_iterations(b"r=a,i=4,s=b,i=4294967295"));
    }
}
