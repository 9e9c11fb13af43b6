//! Limits on the time and disk space of an import, because its source is untrusted.

use super::{Import, ImportFailure};
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

/// Free disk space below which an import is stopped, in bytes: Postgres stops when its disk is full,
/// which would affect all projects on the same disk.
const MIN_FREE_DISK: u64 = 256 << 20;

/// Maximum ratio of the dump's size to the plan limit. Rows are dumped as text, which is longer than
/// their stored form: values are decompressed, and binary data becomes hexadecimal digits.
const MAX_DUMP_FACTOR: u64 = 16;

/// A source must send at least this many bytes per [`STALL_TIMEOUT`].
const MIN_PROGRESS: u64 = 1 << 20;
/// The period of [`MIN_PROGRESS`]. Long, because a scan over mostly dead rows sends nothing for a while.
const STALL_TIMEOUT: Duration = Duration::from_mins(15);

/// Maximum duration of an import, against sources that stall on purpose.
const MAX_DURATION: Duration = Duration::from_hours(24);

/// Returns when the import takes too long.
pub(super) async fn time_limit_exceeded() -> ImportFailure {
    tokio::time::sleep(MAX_DURATION).await;
    ImportFailure::permanent(format!("the import exceeded the time limit of {} hours", MAX_DURATION.as_secs() / 3600))
}

/// Returns when the disk is nearly full.
pub(super) async fn disk_almost_full(import: &Import<'_>) -> ImportFailure {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(free @ ..MIN_FREE_DISK) = free_disk(import.work) {
            let why = format!("the import was stopped because the disk is nearly full ({} free)", bytes(free));
            return ImportFailure::transient(why);
        }
    }
}

/// Returns when a dump becomes implausibly large for the plan, or grows too slowly. Reports its size
/// as progress.
pub(super) async fn watch_dump_size(import: &Import<'_>, dir: &Path) -> ImportFailure {
    let max_size = import.limits.storage_limit_bytes.saturating_mul(MAX_DUMP_FACTOR);
    let mut rate = MinimumRate::new(Instant::now());
    loop {
        tokio::time::sleep(PAUSE).await;
        let size = size_of(dir);
        import.tracker.set_bytes(size);
        if size > max_size {
            let why = format!("the source sent {}, far more than the plan limit allows", bytes(size));
            return ImportFailure::permanent(why);
        }
        if rate.is_too_slow(size, Instant::now()) {
            let minutes = STALL_TIMEOUT.as_secs() / 60;
            return ImportFailure::transient(format!(
                "the source stalled: it sent less than {} in {minutes} minutes",
                bytes(MIN_PROGRESS)
            ));
        }
    }
}

/// Size of all files in a directory, in bytes.
fn size_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// Detects growth below [`MIN_PROGRESS`] per [`STALL_TIMEOUT`].
struct MinimumRate {
    since: Instant,
    before: u64,
}

impl MinimumRate {
    fn new(now: Instant) -> Self {
        Self { since: now, before: 0 }
    }

    fn is_too_slow(&mut self, size: u64, now: Instant) -> bool {
        if size >= self.before + MIN_PROGRESS {
            *self = Self { since: now, before: size };
        }
        now.duration_since(self.since) > STALL_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_per_minute_is_too_slow() {
        let start = Instant::now();
        let minute = Duration::from_mins(1);
        let mut rate = MinimumRate::new(start);
        assert!((1..=15).all(|minutes| !rate.is_too_slow(minutes.into(), start + minute * minutes)));
        assert!(rate.is_too_slow(16, start + minute * 16));
        let mut rate = MinimumRate::new(start);
        assert!((1..=90).all(|minutes| !rate.is_too_slow(u64::from(minutes) * (128 << 10), start + minute * minutes)));
    }
}
