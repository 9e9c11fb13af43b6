//! The HTTP listener, with limits and timeouts for untrusted clients.

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Concurrent connections; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 512;
/// Timeout for the complete head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Write timeout of a connection. There is no read timeout: heads and bodies have their own, and
/// a client that waits for a long request sends nothing.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 64;
/// Maximum size of a request's head and of the read buffer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The local address of a connection.
#[derive(Clone, Copy)]
pub(super) struct LocalAddress(pub(super) Option<SocketAddr>);

/// Serves until `stop`, then finishes the requests in progress.
pub(in crate::server) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let (places, open) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), GracefulShutdown::new());
    let next = async || {
        let place = places.clone().acquire_owned().await.ok()?;
        Some((listener.accept().await, place))
    };
    while let Some(Some((accepted, place))) = stop.run_until_cancelled(next()).await {
        match accepted {
            Ok((stream, peer)) => serve_connection(stream, peer, place, router.clone(), &open),
            Err(error) => {
                // For example out of file descriptors: wait for other connections to close.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    open.shutdown().await;
}

fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    open: &GracefulShutdown,
) {
    let _ = stream.set_nodelay(true); // responses are short
    let ours = stream.local_addr().ok();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(LocalAddress(ours));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let connection = open.watch(connection);
    tokio::spawn(async move {
        let _ = connection.await; // an error means a closed connection or invalid HTTP
        drop(place);
    });
}
