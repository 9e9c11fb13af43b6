//! What an import may take: time, and room on the disk. Its source is a stranger.

use super::{Failure, Import};
use crate::preflight::bytes;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Free space at which an import is given up, in bytes: the databases on the same disk need
/// some to go on. With a full one the server would stop, and everybody's work with it.
const RESERVE: u64 = 256 << 20;

/// A dump of rows is text, and text is longer than what lies in the database: compressed
/// values are unpacked, bytes become digits. More than this many times the plan it never is.
const LONGEST_DUMP: u64 = 16;

/// A source must send at least this much, in bytes, …
const LEAST: u64 = 1 << 20;
/// … in this time. A table of which most rows are dead takes long until the next live one.
const PATIENCE: Duration = Duration::from_mins(15);

/// Free space on the disk of a folder, in bytes.
pub(super) fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// No import takes longer: what does has been set up so.
const LONGEST: Duration = Duration::from_hours(24);

/// Ends when an import takes too long.
pub(super) async fn too_long() -> Failure {
    tokio::time::sleep(LONGEST).await;
    Failure::permanent(format!("the import took longer than {} hours", LONGEST.as_secs() / 3600))
}

/// Ends when the disk is nearly full.
pub(super) async fn disk_is_full(import: &Import<'_>) -> Failure {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Ok(free @ ..RESERVE) = free(import.work) {
            let why = format!("the disk is nearly full ({} are free), so the import was stopped", bytes(free));
            return Failure::transient(why);
        }
    }
}

/// Ends when a dump grows beyond what the plan makes believable, or does not grow at all.
/// Tells how long it is meanwhile.
pub(super) async fn not_believable(import: &Import<'_>, folder: &Path) -> Failure {
    let most = import.limits.storage_limit_bytes.saturating_mul(LONGEST_DUMP);
    let mut pace = Pace::new(Instant::now());
    loop {
        tokio::time::sleep(PAUSE).await;
        let size = size_of(folder);
        import.meter.set_bytes(size);
        if size > most {
            let why = format!("the source sent {}, far more than the plan allows for a database", bytes(size));
            return Failure::permanent(why);
        }
        if pace.is_too_slow(size, Instant::now()) {
            let minutes = PATIENCE.as_secs() / 60;
            return Failure::transient(format!("the source sent less than {} in {minutes} minutes", bytes(LEAST)));
        }
    }
}

/// Length of all files of a folder, in bytes.
fn size_of(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

/// Whether something grows fast enough.
struct Pace {
    since: Instant,
    before: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, before: 0 }
    }

    fn is_too_slow(&mut self, size: u64, now: Instant) -> bool {
        if size >= self.before + LEAST {
            *self = Self { since: now, before: size };
        }
        now.duration_since(self.since) > PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_a_minute_is_too_slow() {
        let start = Instant::now();
        let minute = Duration::from_mins(1);
        let mut pace = Pace::new(start);
        assert!((1..=15).all(|minutes| !pace.is_too_slow(minutes.into(), start + minute * minutes)));
        assert!(pace.is_too_slow(16, start + minute * 16));
        let mut pace = Pace::new(start);
        assert!((1..=90).all(|minutes| !pace.is_too_slow(u64::from(minutes) * (128 << 10), start + minute * minutes)));
    }
}
