//! Rate limits, concurrency limits, timeouts and the check of the `Host` header.

use super::SharedState;
use super::error::ErrorResponse;
use super::state::ApiState;
use crate::source::address_policy::private_kind;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::HOST;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Timeout of a request, except uploads. A preflight takes up to 30 seconds.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Requests per second and burst of a key.
const KEY: (u32, u32) = (50, 500);
/// Requests per second and burst of an address without a valid key.
const ANONYMOUS: (u32, u32) = (10, 100);

/// Cost of a request that only reads metadata.
pub(super) const COST_READ: u32 = 1;
/// Cost of a request that connects to another server or creates something.
pub(super) const COST_EXPENSIVE: u32 = 10;

/// The limits of all callers.
pub(in crate::server) struct Admission {
    /// Rate limits by key and by address.
    pub(in crate::server) rate: RateLimits,
    /// Concurrent inspections of live sources.
    pub(super) inspections: ConcurrencyLimit,
    /// Concurrent SQL statements.
    pub(super) queries: ConcurrencyLimit,
}

impl Admission {
    pub(in crate::server) fn new() -> Self {
        Self {
            rate: RateLimits { keys: RateLimiter::keyed(quota(KEY)), anonymous: RateLimiter::keyed(quota(ANONYMOUS)) },
            inspections: ConcurrencyLimit::new("too many sources are being inspected; try again"),
            queries: ConcurrencyLimit::new("too many statements are running; try again"),
        }
    }
}

/// Rate limiters by key and by address.
pub(in crate::server) struct RateLimits {
    keys: DefaultKeyedRateLimiter<String>,
    anonymous: DefaultKeyedRateLimiter<IpAddr>,
}

impl RateLimits {
    /// Charges a request to a key.
    pub(super) fn key(&self, id: &str, cost: u32) -> Result<(), ErrorResponse> {
        check(&self.keys, &id.to_owned(), cost)
    }

    /// Charges a request without a valid key to its address.
    pub(super) fn anonymous(&self, address: IpAddr) -> Result<(), ErrorResponse> {
        check(&self.anonymous, &address, COST_READ)
    }

    /// Drops callers whose quota is full again.
    pub(in crate::server) fn drop_idle(&self) {
        self.keys.retain_recent();
        self.anonymous.retain_recent();
    }
}

/// Permits of one limit: each holds a connection and memory, for long if the other server
/// does not respond.
const MAX_PERMITS: usize = 16;
/// Permits of one key.
const MAX_PER_KEY: usize = 4;
/// Maximum wait for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A limit of concurrent requests that occupy another server.
pub(super) struct ConcurrencyLimit {
    /// Error message when no permit is free.
    busy: &'static str,
    places: Semaphore,
    by_key: Mutex<HashMap<String, usize>>,
}

/// A permit in use.
pub(super) struct Permit<'a> {
    limit: &'a ConcurrencyLimit,
    key: String,
    /// `None` while waiting.
    place: Option<SemaphorePermit<'a>>,
}

impl<'a> Permit<'a> {
    fn reserve(limit: &'a ConcurrencyLimit, key: &str) -> Option<Self> {
        let mut by_key = limit.by_key();
        let taken = by_key.entry(key.to_owned()).or_default();
        (*taken < MAX_PER_KEY).then(|| {
            *taken += 1;
            Self { limit, key: key.to_owned(), place: None }
        })
    }
}

impl ConcurrencyLimit {
    fn new(busy: &'static str) -> Self {
        Self { busy, places: Semaphore::new(MAX_PERMITS), by_key: Mutex::default() }
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires a permit for a key; 429 if none is free within [`PERMIT_TIMEOUT`].
    pub(super) async fn take(&self, key: &str) -> Result<Permit<'_>, ErrorResponse> {
        let busy = || ErrorResponse::too_many_requests(self.busy, PERMIT_TIMEOUT.as_secs());
        // Counted before the wait: waiting requests count towards the key's limit.
        let mut permit = Permit::reserve(self, key).ok_or_else(busy)?;
        let place = tokio::time::timeout(PERMIT_TIMEOUT, self.places.acquire()).await.map_err(|_| busy())?;
        permit.place = Some(place.map_err(|_| busy())?);
        Ok(permit)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.place.take();
        let mut by_key = self.limit.by_key();
        if let Some(taken) = by_key.get_mut(&self.key) {
            *taken -= 1;
            if *taken == 0 {
                by_key.remove(&self.key);
            }
        }
    }
}

fn quota((a_second, at_once): (u32, u32)) -> Quota {
    let positive = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(positive(a_second)).allow_burst(positive(at_once))
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, cost: u32) -> Result<(), ErrorResponse> {
    let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
    match limiter.check_key_n(key, cost) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(early)) => {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Err(ErrorResponse::too_many_requests("rate limit exceeded", seconds.max(1)))
        }
        Err(_) => Err(ErrorResponse::too_many_requests("rate limit exceeded", 60)),
    }
}

/// The address of a caller. A proxy on a private network is trusted to send it in
/// `X-Forwarded-For`.
pub(super) fn peer(api: &ApiState, headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let unknown = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |peer| peer.0.ip());
    if api.host.public.is_none() || private_kind(peer).is_none() {
        return peer;
    }
    // Only the last entry is added by our proxy; the client can forge the others.
    let named = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    named.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
}

/// Rate-limits requests without a key by address.
pub(super) async fn rate_limit(State(api): SharedState, request: Request, next: Next) -> Response {
    match api.admission.rate.anonymous(peer(&api, request.headers(), request.extensions())) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Ends a request after [`CALL_TIMEOUT`].
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ErrorResponse::timeout("the request timed out").into_response(),
    }
}

/// Rejects unknown `Host` headers, against DNS rebinding: a foreign page can point its own name
/// at this machine, but cannot change the name that the browser sends.
pub(super) async fn check_host(State(api): SharedState, request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(axum::http::uri::Authority::as_str).or(named);
    if host.is_some_and(|host| api.host.answers_to(host)) {
        return next.run(request).await;
    }
    let name = api.host.public.as_ref().map_or_else(|| api.host.address.to_string(), |url| url.authority().to_owned());
    ErrorResponse::misdirected(format!("unknown host, expected {name}")).into_response()
}
