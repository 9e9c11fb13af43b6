use super::error::{innermost, retry_after};
use bytes::Bytes;
use futures_util::Stream;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// Bytes read at a time. With [`AHEAD`] blocks this is the upload's whole memory.
const BLOCK: usize = 256 << 10;
/// Blocks that are read while one is being sent.
const AHEAD: usize = 4;
/// No byte accepted for so long means that the connection is dead.
const STALL: Duration = Duration::from_mins(1);
/// How long storage may take to answer once it has everything.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);

/// What is to be sent where.
pub struct Upload<'a> {
    /// The file, open.
    pub file: &'a File,
    /// Its length when it was looked at, in bytes. Storage needs it beforehand.
    pub size: u64,
    /// When it had last been changed then.
    pub modified: Option<SystemTime>,
    /// The presigned URL, a secret.
    pub url: &'a str,
}

/// Bytes that the connection has taken so far.
pub type Progress = Arc<AtomicU64>;

/// Why an upload failed. No message holds the presigned URL.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Reading the file failed.
    #[error("cannot read the dump: {0}")]
    Read(io::Error),
    /// The file is not what it was.
    #[error("the dump changed while it was being sent; let whatever writes it finish, then try again")]
    Changed,
    /// The connection failed or stood still.
    #[error("the upload to {0} broke off: {1}")]
    Broken(String, String),
    /// Storage said no: host, status, its words.
    #[error("storage at {0} refused the upload with status {1}: {2}")]
    Refused(String, u16, String),
}

impl UploadError {
    /// Whether the same upload may work with a fresh slot.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken(..) => true,
            Self::Refused(_, status, _) => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Read(_) | Self::Changed => false,
        }
    }
}

/// Sends a file with one PUT, in one pass and constant memory. There is no total deadline;
/// an upload that stands still for a minute is ended.
pub async fn upload(http: &reqwest::Client, upload: Upload<'_>, progress: &Progress) -> Result<(), UploadError> {
    progress.store(0, Ordering::Relaxed);
    let host =
        reqwest::Url::parse(upload.url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let before = (upload.size, upload.modified);
    if modified(upload.file)? != before {
        return Err(UploadError::Changed);
    }
    let (body, fault) = body(upload.file, upload.size, progress.clone())?;
    let sending = http
        .put(upload.url)
        .header(reqwest::header::CONTENT_LENGTH, upload.size)
        .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
        .body(reqwest::Body::wrap_stream(body))
        .send();
    let answer = tokio::select! {
        answer = sending => answer,
        () = stalled(progress, upload.size) => {
            return Err(UploadError::Broken(host, "nothing was accepted for 60 seconds".into()));
        }
    };
    if let Some(fault) = fault.lock().ok().and_then(|mut fault| fault.take()) {
        return Err(fault);
    }
    let answer = answer.map_err(|error| {
        let error = error.without_url();
        UploadError::Broken(host.clone(), innermost(&error))
    })?;
    let status = answer.status().as_u16();
    if !answer.status().is_success() {
        let wait = retry_after(answer.headers());
        tracing::debug!("storage answered {status}, retry after {wait:?}");
        let words = answer.text().await.unwrap_or_default();
        return Err(UploadError::Refused(host, status, storage_words(&words)));
    }
    if modified(upload.file)? != before {
        return Err(UploadError::Changed);
    }
    Ok(())
}

/// Length and time of the last change, by which a file that is being written is known.
fn modified(file: &File) -> Result<(u64, Option<SystemTime>), UploadError> {
    let about = file.metadata().map_err(UploadError::Read)?;
    Ok((about.len(), about.modified().ok()))
}

/// Ends when no byte was taken for [`STALL`], or no answer came for [`ANSWER_TIMEOUT`].
async fn stalled(progress: &Progress, size: u64) {
    let mut seen = 0;
    loop {
        let patience = if seen + BLOCK as u64 >= size { ANSWER_TIMEOUT } else { STALL };
        tokio::time::sleep(patience).await;
        let now = progress.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// What went wrong on our side while the body was made; the HTTP library hides it.
type Fault = Arc<Mutex<Option<UploadError>>>;

/// The body: one thread reads large blocks ahead into a short channel. Reading through the
/// asynchronous file type costs ten times as much.
fn body(file: &File, size: u64, progress: Progress) -> Result<(Blocks, Fault), UploadError> {
    let mut file = file.try_clone().map_err(UploadError::Read)?;
    file.rewind().map_err(UploadError::Read)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let pool = Pool::default();
    let reader = pool.clone();
    std::thread::spawn(move || {
        let mut left = size;
        loop {
            let mut block = reader.take();
            let wanted = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            let result = match file.read(&mut block[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(UploadError::Read(error)),
                Ok(0) if left > 0 => Err(UploadError::Changed), // shorter than it was
                Ok(0) => return,
                Ok(length) => {
                    left -= length as u64;
                    Ok((block, length))
                }
            };
            let over = result.is_err();
            if sender.blocking_send(result).is_err() || over {
                return;
            }
        }
    });
    let fault = Fault::default();
    Ok((Blocks { receiver, pool, progress, taken: 0, fault: fault.clone() }, fault))
}

/// Buffers in turn: fresh ones would cost page faults on every block.
#[derive(Clone, Default)]
struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.0.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_else(|| vec![0; BLOCK])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        if let Ok(mut pool) = self.0.lock() {
            pool.push(buffer);
        }
    }
}

/// A block that returns its buffer to the pool once it is sent.
struct Block {
    buffer: Vec<u8>,
    length: usize,
    pool: Pool,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

struct Blocks {
    receiver: mpsc::Receiver<Result<(Vec<u8>, usize), UploadError>>,
    pool: Pool,
    progress: Progress,
    /// Bytes handed to the connection; it asks for more once it has written them.
    taken: u64,
    fault: Fault,
}

impl Stream for Blocks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.progress.store(self.taken, Ordering::Relaxed);
        self.receiver.poll_recv(context).map(|block| match block? {
            Ok((buffer, length)) => {
                self.taken += length as u64;
                Some(Ok(Bytes::from_owner(Block { buffer, length, pool: self.pool.clone() })))
            }
            Err(error) => {
                if let Ok(mut fault) = self.fault.lock() {
                    *fault = Some(error);
                }
                Some(Err(io::Error::other("the dump could not be read")))
            }
        })
    }
}

/// What storage says in its XML or text. It may quote the request, so only the sentence and
/// the code are taken.
fn storage_words(body: &str) -> String {
    let element = |name: &str| {
        let from = body.find(&format!("<{name}>"))? + name.len() + 2;
        let length = body[from..].find("</")?;
        Some(&body[from..from + length])
    };
    match (element("Code"), element("Message")) {
        (_, Some(message)) => crate::text::printable(message, 200),
        (Some(code), None) => crate::text::printable(code, 60),
        (None, None) if body.contains('<') || body.trim().is_empty() => "it gave no reason".into(),
        (None, None) => crate::text::printable(body, 200),
    }
}

#[cfg(test)]
mod tests {
    use super::storage_words;

    #[test]
    fn only_the_sentence_of_storage_is_shown() {
        let xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X>sig=CANARY</X></Error>";
        assert_eq!(storage_words(xml), "Request has expired");
        assert_eq!(storage_words("<html>oops</html>"), "it gave no reason");
        assert_eq!(storage_words("too large"), "too large");
    }
}
