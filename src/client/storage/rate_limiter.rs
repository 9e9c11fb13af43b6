//! The rate limit of an upload.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A rate limit shared by all connections of an upload.
pub(super) struct RateLimiter {
    /// Bytes per second.
    rate: u64,
    /// When the bytes sent so far are within the limit.
    paid: Mutex<Instant>,
}

impl RateLimiter {
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid: Mutex::new(Instant::now()) }
    }

    /// Maximum block size in bytes: an eighth of a second's worth, so that data flows evenly and
    /// the connection is not considered stalled.
    pub(super) fn block(&self, most: usize) -> usize {
        usize::try_from(self.rate / 8).map_or(most, |block| block.clamp(1, most))
    }

    /// How long to wait before sending this many bytes.
    pub(super) fn wait(&self, bytes: usize, now: Instant) -> Duration {
        let Ok(mut paid) = self.paid.lock() else { return Duration::ZERO };
        let wait = paid.saturating_duration_since(now);
        let cost = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.rate);
        *paid = (*paid).max(now) + cost;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_delayed_to_the_rate() {
        let limiter = RateLimiter::new(1_000_000);
        let now = Instant::now();
        let last_wait: Duration = (0..11).map(|_| limiter.wait(100_000, now)).last().expect("at least one wait");
        assert!((Duration::from_millis(990)..=Duration::from_secs(1)).contains(&last_wait), "{last_wait:?}");
        assert_eq!(limiter.wait(1, now + Duration::from_secs(9)), Duration::ZERO, "no delay after idle time");
        assert_eq!((limiter.block(262_144), RateLimiter::new(4).block(262_144)), (125_000, 1));
    }
}
