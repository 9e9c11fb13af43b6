use super::body::{Pool, UploadBody, Watched};
use super::checksum::{Evidence, Sent, evidence, md5_of};
use super::connect::{UploadConnectError, UploadConnection, connect, target};
use super::error::{StorageRejection, UploadError, tls_error};
use super::rate_limiter::RateLimiter;
use crate::client::{USER_AGENT, tls};
use crate::util::byte_counter::ByteCounter;
use crate::util::error::innermost;
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

/// How often an upload is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Storage may think about what it has received for so many times the patience with a stall.
const RESPONSE_TIMEOUT_FACTOR: u32 = 5;
/// From this size on storage is asked before the body is sent, in bytes. That costs a round
/// trip, and spares the sending of what is not wanted.
const EXPECT_FROM: u64 = 16 << 20;
/// How long storage may take to say that the body is welcome. Some never say it.
const EXPECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The words of an answer may take so long after its head.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// With a limited rate, connections wait for each other.
const LIMITED_STALL: Duration = Duration::from_secs(3);
/// No answer of storage is longer, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// Object storage, as one upload uses it.
pub(in crate::client) struct Storage {
    /// For HTTP/1.1, and with HTTP/2.
    tls: [OnceLock<Arc<ClientConfig>>; 2],
    proxies: Matcher,
    /// No byte taken for so long means that a connection is dead.
    stall: Duration,
    limiter: Option<Arc<RateLimiter>>,
    pool: Pool,
    /// HTTP/1.1 is faster for one large body, so HTTP/2 is offered only after trouble.
    offers_http2: AtomicBool,
    /// Storage has not answered to `Expect`.
    ignores_expect: Arc<AtomicBool>,
}

/// A range of a file, and where it goes.
pub(in crate::client) struct Put<'a> {
    pub(in crate::client) file: &'a File,
    /// Where it begins in the file, in bytes.
    pub(in crate::client) start: u64,
    /// In bytes.
    pub(in crate::client) length: u64,
    /// The presigned URL, a secret.
    pub(in crate::client) url: &'a str,
}

/// What storage took.
#[derive(Debug, Clone)]
pub(in crate::client) struct Stored {
    /// CRC-64/NVME of what was sent.
    pub(in crate::client) crc64: u64,
    /// The entity tag, as it came.
    pub(in crate::client) etag: Option<String>,
}

impl Storage {
    /// Storage with this patience, and a limit in bytes a second.
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

    /// Sends once. A connection that works is left in `connection` for the next time. `progress`
    /// goes back by what was counted when it fails.
    pub(in crate::client) async fn put(
        &self,
        connection: &mut Option<UploadConnection>,
        put: &Put<'_>,
        progress: &ByteCounter,
    ) -> Result<Stored, UploadError> {
        let uri: Uri = put.url.parse().map_err(|_| UploadError::Unusable("its URL is not one".into()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(UploadError::Unusable("its URL is neither http nor https".into()));
        }
        loop {
            let kept = connection.take().filter(|connection| connection.is_open() && connection.target == target(&uri));
            let was_kept = kept.is_some();
            let mut open = match kept {
                Some(connection) => connection,
                None => self.connect(&uri).await?,
            };
            let asks = put.length >= EXPECT_FROM && !open.is_http2() && !self.ignores_expect.load(Ordering::Relaxed);
            match self.once(&mut open, put, &uri, asks, progress).await {
                Ok(stored) => {
                    *connection = Some(open);
                    return Ok(stored);
                }
                // It had been closed while nobody used it.
                Err((UploadError::Broken(..), 0)) if was_kept => {}
                Err((UploadError::Rejected(rejection), _))
                    if asks && rejection.status == StatusCode::EXPECTATION_FAILED.as_u16() =>
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
                Err(UploadConnectError::WantsHttp2) if !with_http2 => self.offers_http2.store(true, Ordering::Relaxed),
                Err(UploadConnectError::WantsHttp2) => {
                    let why = "it speaks neither HTTP/1.1 nor HTTP/2".into();
                    return Err(UploadError::Tls(uri.host().unwrap_or_default().into(), why));
                }
                Err(UploadConnectError::Error(error)) => return Err(error),
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

    /// One request over one connection. An error comes with the bytes that were taken.
    async fn once(
        &self,
        connection: &mut UploadConnection,
        put: &Put<'_>,
        uri: &Uri,
        asks: bool,
        progress: &ByteCounter,
    ) -> Result<Stored, (UploadError, u64)> {
        let host = uri.host().unwrap_or_default();
        let file = put.file.try_clone().map_err(|error| (UploadError::Read(error), 0))?;
        let (accepted_, gate) = if asks { self.gate() } else { (None, None) };
        let body = UploadBody::read(file, put.start, put.length, self.pool.clone(), self.limiter.clone(), gate);
        let (body, watched) = body.map_err(|error| (UploadError::Read(error), 0))?;
        let request = request(connection, uri, put.length, body, accepted_).map_err(|error| (error, 0))?;
        let Watched { mut outcome, handed } = watched;
        let state = connection.state.clone();
        let before = state.accepted.load(Ordering::Relaxed);
        let mut share = Share { progress, counted: 0 };
        // The head of the request is counted as well, but never beyond what was given out.
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
            biased; // what was answered counts, however late
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
        // The last block may be gone before its checksum is made.
        let is_sent = handed.load(Ordering::Relaxed) == put.length;
        let read = if read.is_err() && is_sent { outcome.await.ok() } else { read.ok() };
        let Some(Ok(sent)) = read else {
            let why = "storage answered before it had everything".into();
            return Err((UploadError::Broken(host.to_owned(), why), share.counted));
        };
        if !holds(put, &sent, &answer.headers).await.map_err(|error| (error, share.counted))? {
            return Err((UploadError::Damaged(host.to_owned()), share.counted));
        }
        share.keep(put.length);
        let etag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Stored { crc64: sent.crc64, etag })
    }

    /// What holds the body back until storage says that it is welcome, or has had time to.
    fn gate(&self) -> (Option<oneshot::Sender<()>>, Option<BoxFuture<'static, ()>>) {
        let (accepted_, welcomed) = oneshot::channel();
        let ignores = self.ignores_expect.clone();
        let gate = async move {
            match tokio::time::timeout(EXPECT_TIMEOUT, welcomed).await {
                Ok(Ok(())) => {}
                // There is an answer already, and it is another one.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => ignores.store(true, Ordering::Relaxed),
            }
        };
        (Some(accepted_), Some(gate.boxed()))
    }
}

fn request(
    connection: &UploadConnection,
    uri: &Uri,
    length: u64,
    body: UploadBody,
    accepted_: Option<oneshot::Sender<()>>,
) -> Result<Request<UploadBody>, UploadError> {
    let mut request = Request::put("/");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A proxy that reads the request needs the whole address, and HTTP/2 has it in pieces.
    request =
        if connection.is_http2() || connection.reader.is_some() { request.uri(uri.clone()) } else { request.uri(path) };
    if !connection.is_http2() {
        request = request.header(HOST, uri.authority().map_or("", |authority| authority.as_str()));
    }
    if let Some(key) = connection.reader.as_ref().and_then(|reader| reader.key.as_ref()) {
        request = request.header(PROXY_AUTHORIZATION, key);
    }
    if accepted_.is_some() {
        request = request.header(EXPECT, HeaderValue::from_static("100-continue"));
    }
    let request = request
        .header(AGENT, USER_AGENT)
        .header(CONTENT_LENGTH, length)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(body);
    let mut request = request.map_err(|_| UploadError::Unusable("its URL is not one".into()))?;
    if let Some(accepted_) = accepted_ {
        let accepted_ = std::sync::Mutex::new(Some(accepted_));
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE
                && let Some(accepted_) = accepted_.lock().ok().and_then(|mut accepted_| accepted_.take())
            {
                let _ = accepted_.send(()); // the body waits no more
            }
        });
    }
    Ok(request)
}

/// Bytes of a shared progress that one request stands for; what did not arrive goes back.
struct Share<'a> {
    progress: &'a ByteCounter,
    counted: u64,
}

impl Share<'_> {
    fn notify(&mut self, taken: u64) {
        self.progress.fetch_add(taken.saturating_sub(self.counted), Ordering::Relaxed);
        self.counted = self.counted.max(taken);
    }

    fn keep(mut self, length: u64) {
        self.notify(length);
        self.counted = 0;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.progress.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// An error of the line, or one of those that TLS 1.3 tells after the connection is made.
fn failed(host: &str, error: &(dyn std::error::Error + 'static)) -> UploadError {
    use rustls::AlertDescription::{AccessDenied, BadCertificate, CertificateRequired, UnknownCA};
    match tls_error(error) {
        Some(alert @ rustls::Error::AlertReceived(CertificateRequired | BadCertificate | UnknownCA | AccessDenied)) => {
            UploadError::Tls(host.to_owned(), alert.to_string())
        }
        _ => UploadError::Broken(host.to_owned(), innermost(error)),
    }
}

/// Tells the progress, and ends when nothing moves any more.
async fn watch(stall: Duration, length: u64, taken: impl Fn() -> u64, share: &mut Share<'_>) -> String {
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
                format!("nothing was accepted for {seconds}")
            } else {
                format!("storage has everything, and gave no answer for {seconds}")
            };
        }
    }
}

struct StorageResponse {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// Reads what storage has to say, as far as it is said.
async fn read(answer: Response<Incoming>) -> StorageResponse {
    let (head, mut body) = answer.into_parts();
    let (mut bytes, end) = (Vec::new(), tokio::time::Instant::now() + ANSWER_TIMEOUT);
    let mut next = async || {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        tokio::time::timeout_at(end, next).await.ok().flatten()
    };
    while let Some(Ok(frame)) = next().await {
        let block = frame.into_data().unwrap_or_default();
        bytes.extend_from_slice(&block[..block.len().min(LONGEST_ANSWER - bytes.len())]);
        if bytes.len() == LONGEST_ANSWER {
            break;
        }
    }
    StorageResponse { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Whether storage holds what was sent, as far as it says what it holds.
async fn holds(put: &Put<'_>, sent: &Sent, headers: &HeaderMap) -> Result<bool, UploadError> {
    let md5 = match evidence(headers) {
        Evidence::Nothing => return Ok(true),
        Evidence::Crc64(crc64) => return Ok(crc64 == sent.crc64),
        Evidence::Md5(md5) => md5,
    };
    if let Some(ours) = sent.md5 {
        return Ok(ours == md5);
    }
    // The wire was faster than MD5, so there is time to read it once more.
    let file = put.file.try_clone().map_err(UploadError::Read)?;
    let (start, length) = (put.start, put.length);
    let reading = tokio::task::spawn_blocking(move || md5_of(&file, start, length)).await;
    let ours = reading.map_err(std::io::Error::other).and_then(|read| read).map_err(UploadError::Read)?;
    Ok(ours == md5)
}
