use memchr::memmem;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The login takes place within so many bytes.
const LOGIN: usize = 16 << 10;

/// A server may ask for this many digits of rounds of hashing before a password is sent (RFC
/// 5802, `i=`). Each round costs us time, and a million take about a second; servers ask for
/// 4096.
const MOST_DIGITS: usize = 6;

/// A connection to a stranger, who may send so many bytes and no more, and may not set us
/// working without end.
#[derive(Debug)]
pub(crate) struct BoundedStream<S> {
    stream: S,
    most: u64,
    read: u64,
    /// Its first bytes, of a stranger: what matters may come in parts.
    login: Option<Vec<u8>>,
}

impl<S> BoundedStream<S> {
    pub(crate) fn new(stream: S, most: u64) -> Self {
        Self { stream, most, read: 0, login: Some(Vec::new()) }
    }

    /// The same for a server of ours, of which only the length is of interest.
    #[cfg(feature = "server")]
    pub(crate) fn counted(stream: S, most: u64) -> Self {
        Self { stream, most, read: 0, login: None }
    }

    fn judge(&mut self, block: &[u8]) -> io::Result<()> {
        if let Some(login) = self.login.as_mut().filter(|login| login.len() < LOGIN) {
            login.extend_from_slice(&block[..block.len().min(LOGIN - login.len())]);
            if asks_for_too_much(login) {
                return Err(io::Error::other("it wants the password hashed more often than is believable"));
            }
        }
        self.read += block.len() as u64;
        if self.read > self.most {
            let why = "it sent more than a server has to say of itself";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(())
    }
}

/// Whether a login asks for too many rounds of hashing.
fn asks_for_too_much(login: &[u8]) -> bool {
    memmem::find_iter(login, b",i=")
        .any(|at| login[at + 3..].iter().take_while(|byte| byte.is_ascii_digit()).count() > MOST_DIGITS)
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.judge(&buf.filled()[before..])?;
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

/// Limits what comes out of an encrypted connection too: only there it can be read.
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
    use super::asks_for_too_much;

    #[test]
    fn rounds_of_hashing_have_a_limit() {
        assert!(!asks_for_too_much(b"R\0\0\0\x5c\0\0\0\x0br=abc,s=def==,i=4096"));
        assert!(!asks_for_too_much(b"r=a,s=b,i=999999"));
        assert!(asks_for_too_much(b"r=a,s=b,i=1000000"));
        assert!(asks_for_too_much(b"r=a,i=4,s=b,i=4294967295"));
    }
}
