//! How often one may call, and under which name.

use super::Shared;
use super::error::Refused;
use crate::server::App;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Longest time that a call may take, uploads aside. A preflight takes up to half a minute.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Calls a second that a key may make in the long run, and how many at once.
const KEY: (u32, u32) = (50, 500);
/// The same for an address that brings no valid key.
const STRANGER: (u32, u32) = (10, 100);

/// What a call that only reads metadata costs.
pub(super) const CHEAP: u32 = 1;
/// What a call costs that dials another server, or leaves something behind.
pub(super) const DEAR: u32 = 10;

/// Counts calls, by key and by address.
pub(in crate::server) struct RateLimits {
    keys: DefaultKeyedRateLimiter<String>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
}

impl RateLimits {
    pub(in crate::server) fn new() -> Self {
        Self { keys: RateLimiter::keyed(quota(KEY)), strangers: RateLimiter::keyed(quota(STRANGER)) }
    }

    /// Counts a call of the holder of a key.
    pub(super) fn key(&self, id: &str, cost: u32) -> Result<(), Refused> {
        check(&self.keys, &id.to_owned(), cost)
    }

    /// Counts a call that came without a valid key.
    pub(super) fn stranger(&self, address: IpAddr) -> Result<(), Refused> {
        check(&self.strangers, &address, CHEAP)
    }

    /// Forgets those who have not called for a while.
    pub(in crate::server) fn forget_the_idle(&self) {
        self.keys.retain_recent();
        self.strangers.retain_recent();
    }
}

fn quota((a_second, at_once): (u32, u32)) -> Quota {
    let positive = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(positive(a_second)).allow_burst(positive(at_once))
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, cost: u32) -> Result<(), Refused> {
    let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
    match limiter.check_key_n(key, cost) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(early)) => {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Err(Refused::too_many("too many calls; slow down", seconds.max(1)))
        }
        Err(_) => Err(Refused::too_many("too many calls; slow down", 60)),
    }
}

/// The address of a caller.
pub(super) fn peer(extensions: &axum::http::Extensions) -> IpAddr {
    let unknown = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    extensions.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |peer| peer.0.ip())
}

/// Calls without a key are counted by address.
pub(super) async fn counted(State(app): Shared, request: Request, next: Next) -> Response {
    match app.rate_limits.stranger(peer(request.extensions())) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Ends a call that takes too long.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refused::timeout("the call took too long and was given up").into_response(),
    }
}

/// A page of a stranger could give its own name the address of this machine and so speak to
/// us from a browser here; but it cannot change the name that the browser then sends.
pub(super) async fn known_host(State(app): Shared, request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(axum::http::uri::Authority::as_str).or(named);
    if host.is_some_and(|host| is_ours(&app, host)) {
        return next.run(request).await;
    }
    Refused::misdirected(format!("this control plane answers to {} only", app.address)).into_response()
}

fn is_ours(app: &App, host: &str) -> bool {
    let port = app.address.port();
    let Some(name) = host.strip_suffix(&format!(":{port}")).or_else(|| (port == 80).then_some(host)) else {
        return false;
    };
    name.eq_ignore_ascii_case("localhost")
        || name.trim_start_matches('[').trim_end_matches(']').parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
