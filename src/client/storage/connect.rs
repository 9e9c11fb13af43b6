//! Connections to object storage, directly or through a proxy.

use super::body::UploadBody;
use super::error::UploadError;
use super::half_open_io::{ConnectionState, HalfOpenIo, Io};
use crate::util::error::innermost;
use crate::util::error::tls_error;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderValue;
use hyper::rt::Executor;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::{AlertDescription, ClientConfig};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::AbortHandle;
use tower_service::Service;

/// Timeout for DNS, connection, proxy and TLS together.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An open connection to one host, for sequential requests.
pub(in crate::client) struct UploadConnection {
    sender: Sender,
    /// Scheme, host and port of the destination.
    pub(super) target: String,
    pub(super) state: Arc<ConnectionState>,
    /// The forwarding proxy, if any.
    pub(super) forwarding_proxy: Option<ForwardingProxy>,
    /// The tasks that drive the connection; aborting them closes the socket.
    tasks: Tasks,
}

/// A proxy that forwards plain HTTP requests instead of tunneling.
pub(super) struct ForwardingProxy {
    /// The `Proxy-Authorization` header.
    pub(super) key: Option<HeaderValue>,
}

enum Sender {
    One(http1::SendRequest<UploadBody>),
    Two(http2::SendRequest<UploadBody>),
}

impl UploadConnection {
    /// Sends a request once the connection is ready.
    pub(super) fn send(&mut self, request: Request<UploadBody>) -> BoxFuture<'_, hyper::Result<Response<Incoming>>> {
        match &mut self.sender {
            Sender::One(sender) => Box::pin(async move {
                sender.ready().await?;
                sender.send_request(request).await
            }),
            Sender::Two(sender) => Box::pin(async move {
                sender.ready().await?;
                sender.send_request(request).await
            }),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Two(_))
    }

    pub(super) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Two(sender) => !sender.is_closed(),
        }
    }
}

impl Drop for UploadConnection {
    fn drop(&mut self) {
        self.tasks.0.lock().iter().flat_map(|tasks| tasks.iter()).for_each(AbortHandle::abort);
    }
}

/// The tasks of one connection. HTTP/2 spawns one for each body.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        if let Ok(mut tasks) = self.0.lock() {
            tasks.retain(|task| !task.is_finished());
            tasks.push(tokio::spawn(async move { drop(task.await) }).abort_handle());
        }
    }
}

/// Scheme, host and port of a URL.
pub(super) fn target(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()))
}

/// Why connecting failed.
pub(super) enum UploadConnectError {
    /// The server supports only HTTP/2.
    Http2Only,
    Upload(UploadError),
}

/// Connects to the host of a URL, through a proxy if the environment sets one.
pub(super) async fn connect(
    uri: &Uri,
    proxies: &Matcher,
    tls: Arc<ClientConfig>,
) -> Result<UploadConnection, UploadConnectError> {
    let host = uri.host().unwrap_or_default().to_owned();
    let broken = |why: String| UploadConnectError::Upload(UploadError::Broken(host.clone(), why));
    let connected = tokio::time::timeout(TIMEOUT, open(uri, proxies, tls)).await;
    let connected = connected.map_err(|_| broken("the connection timed out".into()))?;
    connected.map_err(|error| match tls_error(&*error) {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => UploadConnectError::Http2Only,
        Some(error) => UploadConnectError::Upload(UploadError::Tls(
            host.clone(),
            crate::util::format::printable(&error.to_string(), 300),
        )),
        None if error.is::<NoRoute>() => {
            UploadConnectError::Upload(UploadError::Unreachable(host.clone(), error.to_string()))
        }
        None => broken(innermost(&*error)),
    })
}

async fn open(uri: &Uri, proxies: &Matcher, tls: Arc<ClientConfig>) -> Result<UploadConnection, BoxError> {
    let (io, is_http2, forwarding_proxy) = dial(uri, proxies, tls).await?;
    let state = Arc::<ConnectionState>::default();
    let io = HalfOpenIo::new(io, state.clone());
    let tasks = Tasks::default();
    let sender = if is_http2 {
        let (sender, connection) = http2::handshake(tasks.clone(), io).await?;
        tasks.execute(async move { drop(connection.await) });
        Sender::Two(sender)
    } else {
        let (sender, connection) = http1::handshake(io).await?;
        tasks.execute(async move { drop(connection.await) });
        Sender::One(sender)
    };
    Ok(UploadConnection { sender, target: target(uri), state, forwarding_proxy, tasks })
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A connection, whether it uses HTTP/2, and the forwarding proxy.
type Dialled = (Box<dyn Io>, bool, Option<ForwardingProxy>);

async fn dial(uri: &Uri, proxies: &Matcher, tls: Arc<ClientConfig>) -> Result<Dialled, BoxError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    let Some(proxy) = proxies.intercept(uri).filter(|_| !is_local(uri)) else {
        return Ok(dialled(HttpsConnector::from((tcp, tls)).call(uri.clone()).await?, None));
    };
    if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
        return Err(NoRoute(format!("the scheme of the proxy {} is not supported", shown(&proxy))).into());
    }
    // The connection to the proxy itself uses no ALPN.
    let mut plain = ClientConfig::clone(&tls);
    plain.alpn_protocols.clear();
    let mut to_proxy = HttpsConnector::from((tcp, Arc::new(plain)));
    let key = proxy.basic_auth().cloned();
    if uri.scheme_str() == Some("http") {
        let io = to_proxy.call(proxy.uri().clone()).await.map_err(|error| proxy_error(&proxy, &*error))?;
        return Ok(dialled(io, Some(ForwardingProxy { key })));
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
    if let Some(key) = key {
        tunnel = tunnel.with_auth(key);
    }
    let io = HttpsConnector::from((tunnel, tls)).call(uri.clone()).await;
    let io = io.map_err(|error| if tls_error(&*error).is_some() { error } else { proxy_error(&proxy, &*error) })?;
    Ok(dialled(io, None))
}

fn dialled<T>(io: MaybeHttpsStream<T>, forwarding_proxy: Option<ForwardingProxy>) -> Dialled
where
    MaybeHttpsStream<T>: Connection + Io + 'static,
{
    let is_http2 = io.connected().is_negotiated_h2();
    (Box::new(io), is_http2, forwarding_proxy)
}

/// A permanent connection error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoRoute(String);

fn proxy_error(proxy: &Intercept, error: &(dyn std::error::Error + 'static)) -> BoxError {
    // The library's error kinds are private, so the message is matched.
    if innermost(error).contains("proxy authorization required") {
        return NoRoute(format!("the proxy {} requires a user name and password", shown(proxy))).into();
    }
    format!("the proxy {}: {}", shown(proxy), innermost(error)).into()
}

/// Host and port of a proxy, without its password.
fn shown(proxy: &Intercept) -> String {
    let host = proxy.uri().host().unwrap_or_default();
    proxy.uri().port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether storage is on this machine, which is reached without a proxy.
fn is_local(uri: &Uri) -> bool {
    uri.host().is_some_and(crate::util::net::is_loopback)
}
