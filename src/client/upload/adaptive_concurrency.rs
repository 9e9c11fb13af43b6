use std::time::Instant;

/// How many parts go at the same time: one more as long as that makes the whole faster. Where
/// the line or the disk is the limit it stays at few.
pub(super) struct AdaptiveConcurrency {
    most: usize,
    now: usize,
    settled: bool,
    /// The best rate so far, in bytes a second.
    best: f64,
    /// Since when so many go, and what has arrived since.
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

    /// A part of so many bytes has arrived.
    pub(super) fn arrived(&mut self, bytes: u64, now: Instant) {
        if self.settled {
            return;
        }
        self.bytes += bytes;
        self.parts += 1;
        // Twice round is enough to see a difference.
        if self.parts < 2 * self.now {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let rate = self.bytes as f64 / now.duration_since(self.since).as_secs_f64().max(1e-6);
        // One more is worth having when it brings half of what each of the others does.
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

    /// How many streams are used in the end, where so many of them make `rate` bytes a second.
    fn settled(most: usize, rate: impl Fn(usize) -> f64) -> usize {
        let mut now = Instant::now();
        let mut streams = AdaptiveConcurrency::new(most, now);
        for _ in 0..400 {
            now += Duration::from_secs_f64(1e6 / rate(streams.now()));
            streams.arrived(1_000_000, now);
        }
        streams.now()
    }

    #[test]
    fn as_many_go_as_help() {
        let each = |streams| f64::from(u32::try_from(streams).expect("few")) * 1e6;
        assert_eq!(settled(4, each), 4, "every connection has its own share of a long line");
        assert_eq!(settled(16, each), 16);
        assert_eq!(settled(4, |_| 1e8), 2, "the line is full");
        assert_eq!(settled(8, |streams| each(streams.min(5))), 5);
        assert_eq!(settled(1, each), 1);
    }
}
