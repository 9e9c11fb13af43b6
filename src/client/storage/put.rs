//! Sends one `PUT` request: connection reuse, `Expect`, stall detection and verification.

use super::body::{BodyHandle, Pool, UploadBody};
use super::checksum::{Sent, StoredChecksum, md5_of, stored_checksum};
use super::connect::{UploadConnectError, UploadConnection, connect, target};
use super::error::{StorageRejection, UploadError};
use super::rate_limiter::RateLimiter;
use crate::client::{USER_AGENT, tls};
use crate::util::byte_counter::ByteCounter;
use crate::util::error::innermost;
use crate::util::error::tls_error;
use crate::wire::retry_after;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPECT, HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT as AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use std::fs::File;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Interval of the stall check.
const TICK: Duration = Duration::from_millis(100);
/// Timeout for the response after all data is sent, as a multiple of the stall timeout.
const RESPONSE_TIMEOUT_FACTOR: u32 = 5;
/// Minimum body length in bytes for `Expect: 100-continue`, which costs a round trip but avoids
/// sending a body that storage rejects.
const EXPECT_FROM: u64 = 16 << 20;
/// How long to wait for `100 Continue`; some stores never send it.
const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for the response body after its headers.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum stall timeout with a rate limit: connections wait for each other.
const LIMITED_STALL: Duration = Duration::from_secs(3);
/// Maximum length of a response body, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The object storage client of one upload.
pub(in crate::client) struct Storage {
    /// TLS configurations without and with HTTP/2.
    tls: [OnceLock<Arc<ClientConfig>>; 2],
    proxies: Matcher,
    /// Stall timeout.
    stall: Duration,
    limiter: Option<Arc<RateLimiter>>,
    pool: Pool,
    /// HTTP/1.1 is faster for one large body, so HTTP/2 is offered only after a failure.
    offers_http2: AtomicBool,
    /// Whether storage did not respond to `Expect`.
    ignores_expect: Arc<AtomicBool>,
}

/// A range of a file and its destination.
pub(in crate::client) struct Put<'a> {
    pub(in crate::client) file: &'a File,
    /// Offset in the file, in bytes.
    pub(in crate::client) start: u64,
    /// Length in bytes.
    pub(in crate::client) length: u64,
    /// The presigned URL; a secret.
    pub(in crate::client) url: &'a str,
}

/// A stored range.
#[derive(Debug, Clone)]
pub(in crate::client) struct Stored {
    /// CRC-64/NVME of the sent data.
    pub(in crate::client) crc64: u64,
    /// The `ETag` header, unchanged.
    pub(in crate::client) etag: Option<String>,
}

impl Storage {
    /// Creates a client with a stall timeout and a rate limit in bytes per second.
    pub(in crate::client) fn new(stall: Duration, limit_rate: Option<u64>) -> Self {
        Self {
            tls: [OnceLock::new(), OnceLock::new()],
            proxies: Matcher::from_system(),
            stall: if limit_rate.is_some() { stall.max(LIMITED_STALL) } else { stall },
            limiter: limit_rate.map(|rate| Arc::new(RateLimiter::new(rate))),
            pool: Pool::default(),
            offers_http2: AtomicBool::new(false),
            ignores_expect: Arc::default(),
        }
    }

    /// Sends one range. Leaves a reusable connection in `connection`. On failure, `progress` is
    /// reduced by the bytes counted for this request.
    pub(in crate::client) async fn put(
        &self,
        connection: &mut Option<UploadConnection>,
        put: &Put<'_>,
        progress: &ByteCounter,
    ) -> Result<Stored, UploadError> {
        let uri: Uri = put.url.parse().map_err(|_| UploadError::Unusable("invalid URL".into()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(UploadError::Unusable("the URL is neither http nor https".into()));
        }
        loop {
            let kept = connection.take().filter(|connection| connection.is_open() && connection.target == target(&uri));
            let was_kept = kept.is_some();
            let mut open = match kept {
                Some(connection) => connection,
                None => self.connect(&uri).await?,
            };
            let expects_continue =
                put.length >= EXPECT_FROM && !open.is_http2() && !self.ignores_expect.load(Ordering::Relaxed);
            match self.once(&mut open, put, &uri, expects_continue, progress).await {
                Ok(stored) => {
                    *connection = Some(open);
                    return Ok(stored);
                }
                // The idle connection was closed by the peer.
                Err((UploadError::Broken(..), 0)) if was_kept => {}
                Err((UploadError::Rejected(rejection), _))
                    if expects_continue && rejection.status == StatusCode::EXPECTATION_FAILED.as_u16() =>
                {
                    self.ignores_expect.store(true, Ordering::Relaxed);
                }
                Err((error, _)) => {
                    if uri.scheme_str() == Some("https") && matches!(error, UploadError::Broken(..)) {
                        self.offers_http2.store(true, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<UploadConnection, UploadError> {
        loop {
            let with_http2 = self.offers_http2.load(Ordering::Relaxed);
            match connect(uri, &self.proxies, self.tls(with_http2, uri)?).await {
                Ok(connection) => return Ok(connection),
                Err(UploadConnectError::Http2Only) if !with_http2 => self.offers_http2.store(true, Ordering::Relaxed),
                Err(UploadConnectError::Http2Only) => {
                    let why = "the server supports neither HTTP/1.1 nor HTTP/2".into();
                    return Err(UploadError::Tls(uri.host().unwrap_or_default().into(), why));
                }
                Err(UploadConnectError::Upload(error)) => return Err(error),
            }
        }
    }

    fn tls(&self, with_http2: bool, uri: &Uri) -> Result<Arc<ClientConfig>, UploadError> {
        let protocols: &[_] = if with_http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        let made = |encrypted| {
            let config = tls::config(protocols, encrypted).map(Arc::new);
            config
                .map_err(|error| UploadError::Unreachable(uri.host().unwrap_or_default().into(), format!("{error:#}")))
        };
        let is_https = |uri: &Uri| uri.scheme_str() == Some("https");
        if !is_https(uri) && !self.proxies.intercept(uri).is_some_and(|proxy| is_https(proxy.uri())) {
            return made(false);
        }
        let state = &self.tls[usize::from(with_http2)];
        if let Some(state) = state.get() {
            return Ok(state.clone());
        }
        let config = made(true)?;
        Ok(state.get_or_init(|| config).clone())
    }

    /// Sends one request over one connection. Returns errors with the number of accepted bytes.
    async fn once(
        &self,
        connection: &mut UploadConnection,
        put: &Put<'_>,
        uri: &Uri,
        expects_continue: bool,
        progress: &ByteCounter,
    ) -> Result<Stored, (UploadError, u64)> {
        let host = uri.host().unwrap_or_default();
        let file = put.file.try_clone().map_err(|error| (UploadError::Read(error), 0))?;
        let (continue_sender, expect_gate) = if expects_continue { self.expect_gate() } else { (None, None) };
        let body = UploadBody::read(file, put.start, put.length, self.pool.clone(), self.limiter.clone(), expect_gate);
        let (body, handle) = body.map_err(|error| (UploadError::Read(error), 0))?;
        let request = request(connection, uri, put.length, body, continue_sender).map_err(|error| (error, 0))?;
        let BodyHandle { mut outcome, handed } = handle;
        let state = connection.state.clone();
        let before = state.accepted.load(Ordering::Relaxed);
        let mut share = ProgressShare { progress, counted: 0 };
        // The count includes the request headers, so it is capped by the bytes of the body.
        let taken = || {
            let accepted = state.accepted.load(Ordering::Relaxed).saturating_sub(before);
            accepted.min(handed.load(Ordering::Relaxed))
        };
        let watch = watch(self.stall, put.length, taken, &mut share);
        let exchange = async {
            let answer = connection.send(request).await.map_err(|error| failed(host, &error))?;
            Ok::<_, UploadError>(read(answer).await)
        };
        let answer = tokio::select! {
            biased; // a response counts, however late
            answer = exchange => answer,
            why = watch => Err(UploadError::Broken(host.to_owned(), why)),
        };
        let read = outcome.try_recv();
        if let Ok(Err(fault)) = read {
            return Err((fault, share.counted));
        }
        let answer = answer.map_err(|error| {
            let first = state.broken.lock().ok().and_then(|mut broken| broken.take());
            (first.map_or(error, |error| failed(host, &error)), share.counted)
        })?;
        if !answer.status.is_success() {
            let query = uri.query().unwrap_or_default();
            let rejection =
                StorageRejection::read(host, query, answer.status.as_u16(), retry_after(&answer.headers), &answer.text);
            return Err((UploadError::Rejected(rejection), share.counted));
        }
        // The last block may be sent before its checksum is computed.
        let is_sent = handed.load(Ordering::Relaxed) == put.length;
        let read = if read.is_err() && is_sent { outcome.await.ok() } else { read.ok() };
        let Some(Ok(sent)) = read else {
            let why = "storage responded before the upload was complete".into();
            return Err((UploadError::Broken(host.to_owned(), why), share.counted));
        };
        if !matches_checksum(put, &sent, &answer.headers).await.map_err(|error| (error, share.counted))? {
            return Err((UploadError::Damaged(host.to_owned()), share.counted));
        }
        share.keep(put.length);
        let etag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Stored { crc64: sent.crc64, etag })
    }

    /// Delays the body until `100 Continue` arrives or [`EXPECT_TIMEOUT`] expires.
    fn expect_gate(&self) -> (Option<oneshot::Sender<()>>, Option<BoxFuture<'static, ()>>) {
        let (continue_sender, continue_received) = oneshot::channel();
        let ignores = self.ignores_expect.clone();
        let expect_gate = async move {
            match tokio::time::timeout(EXPECT_TIMEOUT, continue_received).await {
                Ok(Ok(())) => {}
                // A final response has already arrived.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => ignores.store(true, Ordering::Relaxed),
            }
        };
        (Some(continue_sender), Some(expect_gate.boxed()))
    }
}

fn request(
    connection: &UploadConnection,
    uri: &Uri,
    length: u64,
    body: UploadBody,
    continue_sender: Option<oneshot::Sender<()>>,
) -> Result<Request<UploadBody>, UploadError> {
    let mut request = Request::put("/");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A forwarding proxy needs the absolute URL, and HTTP/2 splits it into pseudo-headers.
    request = if connection.is_http2() || connection.forwarding_proxy.is_some() {
        request.uri(uri.clone())
    } else {
        request.uri(path)
    };
    if !connection.is_http2() {
        request = request.header(HOST, uri.authority().map_or("", |authority| authority.as_str()));
    }
    if let Some(key) = connection.forwarding_proxy.as_ref().and_then(|proxy| proxy.key.as_ref()) {
        request = request.header(PROXY_AUTHORIZATION, key);
    }
    if continue_sender.is_some() {
        request = request.header(EXPECT, HeaderValue::from_static("100-continue"));
    }
    let request = request
        .header(AGENT, USER_AGENT)
        .header(CONTENT_LENGTH, length)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(body);
    let mut request = request.map_err(|_| UploadError::Unusable("invalid URL".into()))?;
    if let Some(continue_sender) = continue_sender {
        let continue_sender = std::sync::Mutex::new(Some(continue_sender));
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE
                && let Some(continue_sender) =
                    continue_sender.lock().ok().and_then(|mut continue_sender| continue_sender.take())
            {
                let _ = continue_sender.send(());
            }
        });
    }
    Ok(request)
}

/// One request's bytes in the shared progress, subtracted on drop unless kept.
struct ProgressShare<'a> {
    progress: &'a ByteCounter,
    counted: u64,
}

impl ProgressShare<'_> {
    fn notify(&mut self, taken: u64) {
        self.progress.fetch_add(taken.saturating_sub(self.counted), Ordering::Relaxed);
        self.counted = self.counted.max(taken);
    }

    fn keep(mut self, length: u64) {
        self.notify(length);
        self.counted = 0;
    }
}

impl Drop for ProgressShare<'_> {
    fn drop(&mut self) {
        self.progress.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// A network error, or a TLS alert that arrives after the TLS 1.3 handshake.
fn failed(host: &str, error: &(dyn std::error::Error + 'static)) -> UploadError {
    use rustls::AlertDescription::{AccessDenied, BadCertificate, CertificateRequired, UnknownCA};
    match tls_error(error) {
        Some(alert @ rustls::Error::AlertReceived(CertificateRequired | BadCertificate | UnknownCA | AccessDenied)) => {
            UploadError::Tls(host.to_owned(), alert.to_string())
        }
        _ => UploadError::Broken(host.to_owned(), innermost(error)),
    }
}

/// Reports progress; returns the reason when the upload stalls.
async fn watch(stall: Duration, length: u64, taken: impl Fn() -> u64, share: &mut ProgressShare<'_>) -> String {
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(TICK.min(stall)).await;
        let now = taken();
        if now > share.counted {
            since = Instant::now();
            share.notify(now);
        }
        let patience = if now < length { stall } else { stall.saturating_mul(RESPONSE_TIMEOUT_FACTOR) };
        if since.elapsed() >= patience {
            let seconds = humantime::format_duration(Duration::from_secs(patience.as_secs().max(1)));
            return if now < length {
                format!("no data was accepted for {seconds}")
            } else {
                format!("storage did not respond for {seconds} after receiving all data")
            };
        }
    }
}

struct StorageResponse {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// Reads a response, up to [`MAX_RESPONSE_BYTES`] bytes and [`RESPONSE_TIMEOUT`].
async fn read(answer: Response<Incoming>) -> StorageResponse {
    let (head, mut body) = answer.into_parts();
    let (mut bytes, end) = (Vec::new(), tokio::time::Instant::now() + RESPONSE_TIMEOUT);
    let mut next = async || {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        tokio::time::timeout_at(end, next).await.ok().flatten()
    };
    while let Some(Ok(frame)) = next().await {
        let block = frame.into_data().unwrap_or_default();
        bytes.extend_from_slice(&block[..block.len().min(MAX_RESPONSE_BYTES - bytes.len())]);
        if bytes.len() == MAX_RESPONSE_BYTES {
            break;
        }
    }
    StorageResponse { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Whether storage's checksum matches the sent data; true if storage returns none.
async fn matches_checksum(put: &Put<'_>, sent: &Sent, headers: &HeaderMap) -> Result<bool, UploadError> {
    let md5 = match stored_checksum(headers) {
        StoredChecksum::Nothing => return Ok(true),
        StoredChecksum::Crc64(crc64) => return Ok(crc64 == sent.crc64),
        StoredChecksum::Md5(md5) => md5,
    };
    if let Some(ours) = sent.md5 {
        return Ok(ours == md5);
    }
    // MD5 was skipped on a fast connection, so the range is read again.
    let file = put.file.try_clone().map_err(UploadError::Read)?;
    let (start, length) = (put.start, put.length);
    let reading = tokio::task::spawn_blocking(move || md5_of(&file, start, length)).await;
    let ours = reading.map_err(std::io::Error::other).and_then(|read| read).map_err(UploadError::Read)?;
    Ok(ours == md5)
}
