//! Accepting connections from strangers: few at a time, none for ever.

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

/// Connections at a time; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 512;
/// A connection on which no whole head of a request arrives for so long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that takes nothing of its answer for so long is closed. There is none for what
/// it sends: heads and bodies have their own, and whoever waits for a long call sends nothing.
const STALL: Duration = Duration::from_mins(1);
/// Headers of one request.
const MOST_HEADERS: usize = 64;
/// Head of one request, in bytes; also what is read ahead of a body.
const LONGEST_HEAD: usize = 64 << 10;

/// Our own end of a connection.
#[derive(Clone, Copy)]
pub(super) struct LocalAddress(pub(super) Option<SocketAddr>);

/// Answers until it is told to stop, then ends what is under way.
pub(in crate::server) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let (places, open) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), GracefulShutdown::new());
    let next = async || {
        let place = places.clone().acquire_owned().await.ok()?;
        Some((listener.accept().await, place))
    };
    while let Some(Some((accepted, place))) = stop.run_until_cancelled(next()).await {
        match accepted {
            Ok((stream, peer)) => attend(stream, peer, place, router.clone(), &open),
            Err(error) => {
                // Out of file descriptors, say: others have to end first.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    open.shutdown().await;
}

fn attend(stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, router: Router, open: &GracefulShutdown) {
    let _ = stream.set_nodelay(true); // answers are short
    let ours = stream.local_addr().ok();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(LocalAddress(ours));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let connection = open.watch(connection);
    tokio::spawn(async move {
        let _ = connection.await; // the peer has gone, or has sent something that is not HTTP
        drop(place);
    });
}
