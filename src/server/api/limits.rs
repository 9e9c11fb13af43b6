//! How often one may call, and under which name.

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

/// Longest time that a call may take, uploads aside. A preflight takes up to half a minute.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Calls a second that a key may make in the long run, and how many at once.
const KEY: (u32, u32) = (50, 500);
/// The same for an address that brings no valid key.
const ANONYMOUS: (u32, u32) = (10, 100);

/// What a call that only reads metadata costs.
pub(super) const COST_READ: u32 = 1;
/// What a call costs that dials another server, or leaves something behind.
pub(super) const COST_EXPENSIVE: u32 = 10;

/// Who may call now.
pub(in crate::server) struct Admission {
    /// How often one may call.
    pub(in crate::server) rate: RateLimits,
    /// Places for those who look into databases.
    pub(super) inspections: ConcurrencyLimit,
    /// Places for those who run statements.
    pub(super) queries: ConcurrencyLimit,
}

impl Admission {
    pub(in crate::server) fn new() -> Self {
        Self {
            rate: RateLimits { keys: RateLimiter::keyed(quota(KEY)), anonymous: RateLimiter::keyed(quota(ANONYMOUS)) },
            inspections: ConcurrencyLimit::new("too many sources are being looked at; try again"),
            queries: ConcurrencyLimit::new("too many statements are being run; try again"),
        }
    }
}

/// Counts calls, by key and by address.
pub(in crate::server) struct RateLimits {
    keys: DefaultKeyedRateLimiter<String>,
    anonymous: DefaultKeyedRateLimiter<IpAddr>,
}

impl RateLimits {
    /// Counts a call of the holder of a key.
    pub(super) fn key(&self, id: &str, cost: u32) -> Result<(), ErrorResponse> {
        check(&self.keys, &id.to_owned(), cost)
    }

    /// Counts a call that came without a valid key.
    pub(super) fn anonymous(&self, address: IpAddr) -> Result<(), ErrorResponse> {
        check(&self.anonymous, &address, COST_READ)
    }

    /// Forgets those who have not called for a while.
    pub(in crate::server) fn drop_idle(&self) {
        self.keys.retain_recent();
        self.anonymous.retain_recent();
    }
}

/// Live sources that are looked at for callers at a time: each look holds a connection and
/// memory, and a silent source holds it for long.
const MAX_PERMITS: usize = 16;
/// The same for one key.
const MAX_PER_KEY: usize = 4;
/// How long one waits for a place.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Places for those who keep another server busy.
pub(super) struct ConcurrencyLimit {
    /// What is said to those who find none.
    busy: &'static str,
    places: Semaphore,
    by_key: Mutex<HashMap<String, usize>>,
}

/// A place that is taken.
pub(super) struct Permit<'a> {
    limit: &'a ConcurrencyLimit,
    key: String,
    /// Held until the end; none while somebody waits for it.
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

    /// Takes a place for the holder of a key.
    pub(super) async fn take(&self, key: &str) -> Result<Permit<'_>, ErrorResponse> {
        let busy = || ErrorResponse::too_many_requests(self.busy, PERMIT_TIMEOUT.as_secs());
        // Counted before the wait, so that those who wait count too.
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
            Err(ErrorResponse::too_many_requests("too many calls; slow down", seconds.max(1)))
        }
        Err(_) => Err(ErrorResponse::too_many_requests("too many calls; slow down", 60)),
    }
}

/// The address of a caller. Where something of our own network stands before us, it says whom it
/// stands for.
pub(super) fn peer(api: &ApiState, headers: &HeaderMap, extensions: &Extensions) -> IpAddr {
    let unknown = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |peer| peer.0.ip());
    if api.host.public.is_none() || private_kind(peer).is_none() {
        return peer;
    }
    // The last one is who spoke to our proxy; those before are only what that one claims.
    let named = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    named.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
}

/// Calls without a key are counted by address.
pub(super) async fn rate_limit(State(api): SharedState, request: Request, next: Next) -> Response {
    match api.admission.rate.anonymous(peer(&api, request.headers(), request.extensions())) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Ends a call that takes too long.
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ErrorResponse::timeout("the call took too long and was given up").into_response(),
    }
}

/// A page of a stranger could give its own name the address of this machine and so speak to
/// us from a browser here; but it cannot change the name that the browser then sends.
pub(super) async fn check_host(State(api): SharedState, request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(axum::http::uri::Authority::as_str).or(named);
    if host.is_some_and(|host| api.host.answers_to(host)) {
        return next.run(request).await;
    }
    let name = api.host.public.as_ref().map_or_else(|| api.host.address.to_string(), |url| url.authority().to_owned());
    ErrorResponse::misdirected(format!("this control plane answers to {name} only")).into_response()
}
