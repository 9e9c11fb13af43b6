//! The retry budget of an upload.

use crate::client::storage::UploadError;
use std::time::{Duration, Instant};

/// Maximum number of consecutive failed attempts.
const ATTEMPTS: u32 = 6;
/// Wait before the second attempt; triples with each further attempt.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// Maximum wait, also for `Retry-After`.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// The attempts of an upload, shared by all connections: a network outage counts as one failure,
/// not as one per connection. Reset whenever data is stored.
pub(super) struct RetryBudget {
    /// Consecutive failed attempts.
    failed: u32,
    /// When the last failure was counted.
    counted: Instant,
    /// End of the current pause.
    until: Instant,
}

/// The pause after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) wait: Duration,
    /// Number of the next attempt.
    pub(super) attempt: u32,
    /// Whether this pause has not been reported yet.
    pub(super) is_new: bool,
}

impl RetryBudget {
    pub(super) const ATTEMPTS: u32 = ATTEMPTS;

    pub(super) fn new(now: Instant) -> Self {
        Self { failed: 0, counted: now, until: now }
    }

    /// The pause after the failure of an attempt that started at `began`; `None` if the error is
    /// permanent or the attempts are exhausted. `jitter` is between 0 and 1 and spreads retries.
    pub(super) fn failure(&mut self, error: &UploadError, began: Instant, now: Instant, jitter: f64) -> Option<Pause> {
        if !error.is_transient() {
            return None;
        }
        if self.failed > 0 && began < self.counted {
            let wait = self.until.saturating_duration_since(now);
            return Some(Pause { wait, attempt: self.failed + 1, is_new: false });
        }
        self.failed += 1;
        self.counted = now;
        if self.failed >= ATTEMPTS {
            return None;
        }
        let wait = error.retry_after().unwrap_or_else(|| {
            let wait = MIN_DELAY * 3_u32.pow(self.failed - 1);
            wait.min(MAX_DELAY).mul_f64(0.5 + jitter / 2.0)
        });
        let wait = wait.min(MAX_DELAY);
        self.until = now + wait;
        Some(Pause { wait, attempt: self.failed + 1, is_new: true })
    }

    /// Resets the budget.
    pub(super) fn success(&mut self) {
        self.failed = 0;
    }
}

/// A random number between 0 and 1.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_connection() -> UploadError {
        UploadError::Broken("s3.example".into(), "reset".into())
    }

    #[test]
    fn waits_grow_until_the_budget_is_exhausted() {
        let mut now = Instant::now();
        let mut budget = RetryBudget::new(now);
        let mut waits = Vec::new();
        while let Some(pause) = budget.failure(&broken_connection(), now, now, 1.0) {
            assert!(pause.is_new && pause.attempt == u32::try_from(waits.len()).expect("a count within u32") + 2);
            waits.push(pause.wait.as_secs());
            now += pause.wait;
        }
        assert_eq!(waits, [1, 3, 9, 27, 60]);
        assert_eq!(
            RetryBudget::new(now).failure(&broken_connection(), now, now, 0.0).expect("a pause").wait,
            Duration::from_millis(500)
        );
    }

    #[test]
    fn simultaneous_failures_count_once() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        let later = |milliseconds| now + Duration::from_millis(milliseconds);
        let first = budget.failure(&broken_connection(), now, later(100), 1.0).expect("a pause");
        let second = budget.failure(&broken_connection(), now, later(400), 1.0).expect("the same pause");
        assert_eq!((second.attempt, second.is_new), (first.attempt, false));
        assert_eq!(second.wait, Duration::from_millis(700));
        let third =
            budget.failure(&broken_connection(), later(50), later(9000), 1.0).expect("the same failure, detected late");
        assert_eq!((third.attempt, third.wait), (2, Duration::ZERO));
        budget.success();
        assert_eq!(budget.failure(&broken_connection(), later(9000), later(9500), 1.0).expect("a pause").attempt, 2);
    }

    #[test]
    fn permanent_errors_are_not_retried() {
        let now = Instant::now();
        assert_eq!(RetryBudget::new(now).failure(&UploadError::Changed, now, now, 0.5), None);
        let jitter = jitter();
        assert!((0.0..=1.0).contains(&jitter), "{jitter}");
    }
}
