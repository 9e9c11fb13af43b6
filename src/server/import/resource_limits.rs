//! What an import may take: time, and room on the disk. Its source is a stranger.

use super::{Import, ImportFailure};
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Free space at which an import is given up, in bytes: the databases on the same disk need
/// some to go on. With a full one the server would stop, and everybody's work with it.
const MIN_FREE_DISK: u64 = 256 << 20;

/// A dump of rows is text, and text is longer than what lies in the database: compressed
/// values are unpacked, bytes become digits. More than this many times the plan it never is.
const MAX_DUMP_FACTOR: u64 = 16;

/// A source must send at least this much, in bytes, …
const MIN_PROGRESS: u64 = 1 << 20;
/// … in this time. A table of which most rows are dead takes long until the next live one.
const STALL_TIMEOUT: Duration = Duration::from_mins(15);

/// No import takes longer: what does has been set up so.
const MAX_DURATION: Duration = Duration::from_hours(24);

/// Ends when an import takes too long.
pub(super) async fn time_limit_exceeded() -> ImportFailure {
    tokio::time::sleep(MAX_DURATION).await;
    ImportFailure::permanent(format!("the import took longer than {} hours", MAX_DURATION.as_secs() / 3600))
}

/// Ends when the disk is nearly full.
pub(super) async fn disk_almost_full(import: &Import<'_>) -> ImportFailure {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(free @ ..MIN_FREE_DISK) = free_disk(import.work) {
            let why = format!("the disk is nearly full ({} are free), so the import was stopped", bytes(free));
            return ImportFailure::transient(why);
        }
    }
}

/// Ends when a dump grows beyond what the plan makes believable, or does not grow at all.
/// Tells how long it is meanwhile.
pub(super) async fn watch_dump_size(import: &Import<'_>, folder: &Path) -> ImportFailure {
    let most = import.limits.storage_limit_bytes.saturating_mul(MAX_DUMP_FACTOR);
    let mut rate = MinimumRate::new(Instant::now());
    loop {
        tokio::time::sleep(PAUSE).await;
        let size = size_of(folder);
        import.tracker.set_bytes(size);
        if size > most {
            let why = format!("the source sent {}, far more than the plan allows for a database", bytes(size));
            return ImportFailure::permanent(why);
        }
        if rate.is_too_slow(size, Instant::now()) {
            let minutes = STALL_TIMEOUT.as_secs() / 60;
            return ImportFailure::transient(format!(
                "the source sent less than {} in {minutes} minutes",
                bytes(MIN_PROGRESS)
            ));
        }
    }
}

/// Length of all files of a folder, in bytes.
fn size_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// Whether something grows fast enough.
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
    fn a_byte_a_minute_is_too_slow() {
        let start = Instant::now();
        let minute = Duration::from_mins(1);
        let mut rate = MinimumRate::new(start);
        assert!((1..=15).all(|minutes| !rate.is_too_slow(minutes.into(), start + minute * minutes)));
        assert!(rate.is_too_slow(16, start + minute * 16));
        let mut rate = MinimumRate::new(start);
        assert!((1..=90).all(|minutes| !rate.is_too_slow(u64::from(minutes) * (128 << 10), start + minute * minutes)));
    }
}
