use crate::client::storage::UploadError;
use std::time::{Duration, Instant};

/// How often something is tried before an upload is given up.
const ATTEMPTS: u32 = 6;
/// The wait before the second attempt; it triples.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No wait is longer, whoever asks for it.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The attempts of a whole upload. All connections share it: when the network goes, that is
/// one failure, not one for each of them. What arrives fills it up again.
pub(super) struct RetryBudget {
    /// Attempts in a row that brought nothing.
    failed: u32,
    /// When the last of them was counted.
    counted: Instant,
    /// The end of the pause that is under way.
    until: Instant,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) wait: Duration,
    /// Number of the attempt that follows.
    pub(super) attempt: u32,
    /// Nobody has been told of this pause yet.
    pub(super) is_new: bool,
}

impl RetryBudget {
    pub(super) const ATTEMPTS: u32 = ATTEMPTS;

    pub(super) fn new(now: Instant) -> Self {
        Self { failed: 0, counted: now, until: now }
    }

    /// How long to wait after the failure of what began at `began`; `None` when it is not worth
    /// it. `jitter` between 0 and 1 spreads those who lost their connection at the same moment.
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
            let wait = FIRST_WAIT * 3_u32.pow(self.failed - 1);
            wait.min(LONGEST_WAIT).mul_f64(0.5 + jitter / 2.0)
        });
        let wait = wait.min(LONGEST_WAIT);
        self.until = now + wait;
        Some(Pause { wait, attempt: self.failed + 1, is_new: true })
    }

    /// Something arrived.
    pub(super) fn success(&mut self) {
        self.failed = 0;
    }
}

/// A number between 0 and 1 that nobody else has.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> UploadError {
        UploadError::Broken("s3.example".into(), "reset".into())
    }

    #[test]
    fn waits_grow_and_end() {
        let mut now = Instant::now();
        let mut budget = RetryBudget::new(now);
        let mut waits = Vec::new();
        while let Some(pause) = budget.failure(&broken(), now, now, 1.0) {
            assert!(pause.is_new && pause.attempt == u32::try_from(waits.len()).expect("few") + 2);
            waits.push(pause.wait.as_secs());
            now += pause.wait;
        }
        assert_eq!(waits, [1, 3, 9, 27, 60]);
        assert_eq!(
            RetryBudget::new(now).failure(&broken(), now, now, 0.0).expect("a pause").wait,
            Duration::from_millis(500)
        );
    }

    #[test]
    fn one_fault_of_the_network_counts_once() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now);
        let later = |milliseconds| now + Duration::from_millis(milliseconds);
        let first = budget.failure(&broken(), now, later(100), 1.0).expect("a pause");
        let second = budget.failure(&broken(), now, later(400), 1.0).expect("the same pause");
        assert_eq!((second.attempt, second.is_new), (first.attempt, false));
        assert_eq!(second.wait, Duration::from_millis(700));
        let third = budget.failure(&broken(), later(50), later(9000), 1.0).expect("the same fault, noticed late");
        assert_eq!((third.attempt, third.wait), (2, Duration::ZERO));
        budget.success();
        assert_eq!(budget.failure(&broken(), later(9000), later(9500), 1.0).expect("a pause").attempt, 2);
    }

    #[test]
    fn what_is_final_is_not_tried_again() {
        let now = Instant::now();
        assert_eq!(RetryBudget::new(now).failure(&UploadError::Changed, now, now, 0.5), None);
        let jitter = jitter();
        assert!((0.0..=1.0).contains(&jitter), "{jitter}");
    }
}
