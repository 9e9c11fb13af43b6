//! Progress of work measured in bytes.

use super::{Output, ProgressMode, event, write_stderr};
use crate::util::byte_counter::ByteCounter;
use crate::util::format::bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Interval of the live line: ten redraws per second.
const LIVE: Duration = Duration::from_millis(100);
/// Interval of JSON events.
const EVENTS: Duration = Duration::from_secs(1);
/// Interval of plain lines.
const LINES: Duration = Duration::from_secs(5);

/// Work measured in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Activity {
    /// Reads a dump for the preflight.
    Reading,
    /// Runs `pg_dump` on this machine.
    Dumping,
    /// Copies a pipe or decompresses a file into a private file.
    Spooling,
    /// Uploads the dump to storage.
    Uploading,
}

impl Activity {
    fn doing(self) -> &'static str {
        match self {
            Self::Reading => "Reading",
            Self::Dumping => "Dumping",
            Self::Spooling => "Spooling",
            Self::Uploading => "Uploading",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Reading => "Read",
            Self::Dumping => "Dumped",
            Self::Spooling => "Spooled",
            Self::Uploading => "Uploaded",
        }
    }

    /// The value of `phase` in JSON events.
    fn phase(self) -> &'static str {
        match self {
            Self::Reading => "read",
            Self::Dumping => "dump",
            Self::Spooling => "spool",
            Self::Uploading => "upload",
        }
    }
}

/// The progress of a piece of work, drawn by a background task.
pub(in crate::cli) struct ByteProgress {
    work: Activity,
    size: Option<u64>,
    progress: ByteCounter,
    /// Bytes done by an earlier run.
    before: ByteCounter,
    started: Instant,
    drawing: ProgressMode,
    bar: ProgressBar,
    task: Option<JoinHandle<()>>,
}

impl ByteProgress {
    /// Starts drawing. `size` is the total in bytes, if known; `progress` counts up to it.
    pub(in crate::cli) fn start(output: &Output, work: Activity, size: Option<u64>, progress: ByteCounter) -> Self {
        let (drawing, started, before) = (output.progress(), Instant::now(), ByteCounter::default());
        // Drawn from the first tick on, so that instant work shows no line.
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden()).with_style(bar_style(size));
        bar.set_prefix(work.doing());
        let (counter, now) = (progress.clone(), move |progress: &ByteCounter| progress.load(Ordering::Relaxed));
        let task = match drawing {
            ProgressMode::None => None,
            ProgressMode::Live => {
                let bar = bar.clone();
                Some(tokio::spawn(at_intervals(LIVE, move || {
                    if bar.is_hidden() {
                        bar.set_draw_target(ProgressDrawTarget::stderr());
                    }
                    bar.set_position(now(&counter));
                })))
            }
            ProgressMode::Json => {
                Some(tokio::spawn(at_intervals(EVENTS, move || emit_event(work, now(&counter), size))))
            }
            ProgressMode::Lines => {
                if let Some(size) = size.filter(|_| work == Activity::Uploading) {
                    write_stderr(&format!("Uploading {}", bytes(size)));
                }
                let before = before.clone();
                Some(tokio::spawn(at_intervals(LINES, move || {
                    write_stderr(&line(work, now(&counter), now(&before), size, started.elapsed()));
                })))
            }
        };
        Self { work, size, progress, before, started, drawing, bar, task }
    }

    /// Sets the bytes done by an earlier run.
    pub(in crate::cli) fn resume_from(&self, before: u64) {
        self.before.store(before, Ordering::Relaxed);
        self.bar.set_position(before);
        self.bar.reset_eta();
    }

    /// Prints something without disturbing the live line.
    pub(in crate::cli) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Ends the progress after success, with a summary line.
    pub(in crate::cli) fn finish(mut self) {
        self.halt();
        self.bar.finish_and_clear();
        let took = self.started.elapsed();
        let size = self.size.unwrap_or_else(|| self.progress.load(Ordering::Relaxed));
        match self.drawing {
            ProgressMode::None => {}
            ProgressMode::Json => emit_event(self.work, size, Some(size)),
            // Reading a file needs no summary.
            _ if self.work == Activity::Reading => {}
            _ => {
                let now = size.saturating_sub(self.before.load(Ordering::Relaxed));
                let (done, rate) = (self.work.done(), rate(now, took));
                let rest = if now < size { "the remaining " } else { "" };
                if now > 0 || size == 0 {
                    write_stderr(&format!("{done} {rest}{} in {:.1} s ({rate}/s)", bytes(now), took.as_secs_f64()));
                }
            }
        }
    }

    /// Ends the progress after a failure, which the caller reports.
    pub(in crate::cli) fn abort(mut self) {
        self.halt();
        self.bar.finish_and_clear();
    }

    fn halt(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for ByteProgress {
    fn drop(&mut self) {
        self.halt();
        self.bar.finish_and_clear();
    }
}

fn bar_style(size: Option<u64>) -> ProgressStyle {
    let template = match size {
        Some(_) => {
            "{prefix} {wide_bar} {percent:>3}%  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
        }
        None => "{prefix} {spinner} {decimal_bytes}  {decimal_bytes_per_sec}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn emit_event(work: Activity, sent: u64, size: Option<u64>) {
    event(&json!({ "event": "progress", "phase": work.phase(), "bytes": sent, "total_bytes": size }));
}

async fn at_intervals(pause: Duration, draw: impl Fn()) {
    loop {
        tokio::time::sleep(pause).await;
        draw();
    }
}

/// A plain line: percent, bytes, rate and time left.
fn line(work: Activity, sent: u64, before: u64, size: Option<u64>, took: Duration) -> String {
    let doing = work.doing();
    let now = sent.saturating_sub(before);
    let Some(size) = size else { return format!("{doing} {}  {}/s", bytes(sent), rate(now, took)) };
    let percent = u128::from(sent.min(size)) * 100 / u128::from(size.max(1));
    let left = match took.as_secs_f64() / to_f64(now.max(1)) * to_f64(size.saturating_sub(sent)) {
        seconds if now > 0 => format!("{} left", humantime::format_duration(Duration::from_secs(to_u64(seconds)))),
        _ => "time left unknown".to_owned(),
    };
    format!("{doing} {percent}%  {} of {}  {}/s  {left}", bytes(sent), bytes(size), rate(now, took))
}

fn rate(sent: u64, took: Duration) -> String {
    bytes(to_u64(to_f64(sent) / took.as_secs_f64().max(0.001)))
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display; the cast saturates")]
fn to_u64(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::{Activity, line};
    use std::time::Duration;

    #[test]
    fn a_line_shows_bytes_percent_rate_and_time_left() {
        assert_eq!(
            line(Activity::Uploading, 256_000_000, 0, Some(1_024_000_000), Duration::from_secs(4)),
            "Uploading 25%  256.0 MB of 1.0 GB  64.0 MB/s  12s left"
        );
        assert_eq!(
            line(Activity::Uploading, 0, 0, Some(1_000), Duration::from_secs(4)),
            "Uploading 0%  0 B of 1.0 kB  0 B/s  time left unknown"
        );
        assert_eq!(
            line(Activity::Uploading, 900_000_000, 800_000_000, Some(1_000_000_000), Duration::from_secs(4)),
            "Uploading 90%  900.0 MB of 1.0 GB  25.0 MB/s  4s left",
            "bytes of an earlier run do not count towards the rate"
        );
        assert_eq!(line(Activity::Spooling, 5_000, 0, None, Duration::from_secs(1)), "Spooling 5.0 kB  5.0 kB/s");
    }
}
