//! Adapts the number of concurrent parts to the measured throughput.

use std::time::Instant;

/// The number of concurrent parts: increased by one as long as that improves throughput, so it
/// stays low if the network or the disk is the bottleneck.
pub(super) struct AdaptiveConcurrency {
    most: usize,
    now: usize,
    settled: bool,
    /// Best rate so far, in bytes per second.
    best: f64,
    /// Start of the current measurement.
    since: Instant,
    bytes: u64,
    parts: usize,
}

impl AdaptiveConcurrency {
    pub(super) fn new(most: usize, now: Instant) -> Self {
        Self { most, now: most.min(2), settled: most <= 2, best: 0.0, since: now, bytes: 0, parts: 0 }
    }

    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// Records a stored part of this many bytes.
    pub(super) fn stored(&mut self, bytes: u64, now: Instant) {
        if self.settled {
            return;
        }
        self.bytes += bytes;
        self.parts += 1;
        // Two parts per connection are enough to measure a difference.
        if self.parts < 2 * self.now {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let rate = self.bytes as f64 / now.duration_since(self.since).as_secs_f64().max(1e-6);
        // Another connection must add at least half of the average per connection.
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let worth = self.best * (1.0 + 0.5 / self.now as f64);
        if rate > worth {
            self.best = rate;
            self.settled = self.now == self.most;
            self.now = self.most.min(self.now + 1);
        } else {
            self.settled = true;
            self.now -= 1;
        }
        (self.since, self.bytes, self.parts) = (now, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The final number of streams if `rate` is the throughput in bytes per second for a number of streams.
    fn final_streams(limit: usize, rate: impl Fn(usize) -> f64) -> usize {
        let mut now = Instant::now();
        let mut streams = AdaptiveConcurrency::new(limit, now);
        for _ in 0..400 {
            now += Duration::from_secs_f64(1e6 / rate(streams.now()));
            streams.stored(1_000_000, now);
        }
        streams.now()
    }

    #[test]
    fn streams_are_added_while_the_throughput_grows() {
        let linear = |streams| f64::from(u32::try_from(streams).expect("a count within u32")) * 1e6;
        assert_eq!(final_streams(4, linear), 4, "throughput grows with every connection");
        assert_eq!(final_streams(16, linear), 16);
        assert_eq!(final_streams(4, |_| 1e8), 2, "the network is saturated");
        assert_eq!(final_streams(8, |streams| linear(streams.min(5))), 5);
        assert_eq!(final_streams(1, linear), 1);
    }
}
