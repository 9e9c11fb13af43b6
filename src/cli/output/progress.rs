use super::{Output, ProgressMode, event, say};
use crate::util::byte_counter::ByteCounter;
use crate::util::format::bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Pause between two looks for a line that moves: at most ten redraws a second.
const LIVE: Duration = Duration::from_millis(100);
/// Pause between two events for programs.
const EVENTS: Duration = Duration::from_secs(1);
/// Pause between two plain lines.
const LINES: Duration = Duration::from_secs(5);

/// Work that is measured in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Activity {
    /// A dump is read before anything is sent.
    Reading,
    /// `pg_dump` runs here.
    Dumping,
    /// A pipe or a compressed file becomes a private copy.
    Spooling,
    /// The dump goes to storage.
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

    /// The word in JSON.
    fn phase(self) -> &'static str {
        match self {
            Self::Reading => "read",
            Self::Dumping => "dump",
            Self::Spooling => "spool",
            Self::Uploading => "upload",
        }
    }
}

/// The progress of some work, drawn beside it.
pub(in crate::cli) struct ByteProgress {
    work: Activity,
    size: Option<u64>,
    progress: ByteCounter,
    /// What was there when it began.
    before: ByteCounter,
    started: Instant,
    drawing: ProgressMode,
    bar: ProgressBar,
    task: Option<JoinHandle<()>>,
}

impl ByteProgress {
    /// Begins to draw. `size` is known or not, in bytes; `progress` counts up to it.
    pub(in crate::cli) fn start(output: &Output, work: Activity, size: Option<u64>, progress: ByteCounter) -> Self {
        let (drawing, started, before) = (output.progress(), Instant::now(), ByteCounter::default());
        // What is over at once is not drawn at all, so the line waits for the first tick.
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden()).with_style(look(size));
        bar.set_prefix(work.doing());
        let (counter, now) = (progress.clone(), move |progress: &ByteCounter| progress.load(Ordering::Relaxed));
        let task = match drawing {
            ProgressMode::None => None,
            ProgressMode::Live => {
                let bar = bar.clone();
                Some(tokio::spawn(every(LIVE, move || {
                    if bar.is_hidden() {
                        bar.set_draw_target(ProgressDrawTarget::stderr());
                    }
                    bar.set_position(now(&counter));
                })))
            }
            ProgressMode::Json => Some(tokio::spawn(every(EVENTS, move || tell(work, now(&counter), size)))),
            ProgressMode::Lines => {
                if let Some(size) = size.filter(|_| work == Activity::Uploading) {
                    say(&format!("Uploading {}", bytes(size)));
                }
                let before = before.clone();
                Some(tokio::spawn(every(LINES, move || {
                    say(&line(work, now(&counter), now(&before), size, started.elapsed()));
                })))
            }
        };
        Self { work, size, progress, before, started, drawing, bar, task }
    }

    /// So much of it had been done before, in bytes.
    pub(in crate::cli) fn resume_from(&self, before: u64) {
        self.before.store(before, Ordering::Relaxed);
        self.bar.set_position(before);
        self.bar.reset_eta();
    }

    /// Says something beside the line that moves.
    pub(in crate::cli) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// Everything arrived.
    pub(in crate::cli) fn finish(mut self) {
        self.halt();
        self.bar.finish_and_clear();
        let took = self.started.elapsed();
        let size = self.size.unwrap_or_else(|| self.progress.load(Ordering::Relaxed));
        match self.drawing {
            ProgressMode::None => {}
            ProgressMode::Json => tell(self.work, size, Some(size)),
            // Looking at a file is not worth a line of its own.
            _ if self.work == Activity::Reading => {}
            _ => {
                let now = size.saturating_sub(self.before.load(Ordering::Relaxed));
                let (done, rate) = (self.work.done(), rate(now, took));
                let rest = if now < size { "the remaining " } else { "" };
                if now > 0 || size == 0 {
                    say(&format!("{done} {rest}{} in {:.1} s ({rate}/s)", bytes(now), took.as_secs_f64()));
                }
            }
        }
    }

    /// It broke off; whoever knows why says it.
    pub(in crate::cli) fn give_up(mut self) {
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

fn look(size: Option<u64>) -> ProgressStyle {
    let template = match size {
        Some(_) => {
            "{prefix} {wide_bar} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
        }
        None => "{prefix} {spinner} {decimal_bytes}  {decimal_bytes_per_sec}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn tell(work: Activity, sent: u64, size: Option<u64>) {
    event(&json!({ "event": "progress", "phase": work.phase(), "bytes": sent, "total_bytes": size }));
}

async fn every(pause: Duration, draw: impl Fn()) {
    loop {
        tokio::time::sleep(pause).await;
        draw();
    }
}

/// A plain line: bytes, percent, rate, time left.
fn line(work: Activity, sent: u64, before: u64, size: Option<u64>, took: Duration) -> String {
    let doing = work.doing();
    let now = sent.saturating_sub(before);
    let Some(size) = size else { return format!("{doing} {}  {}/s", bytes(sent), rate(now, took)) };
    let percent = u128::from(sent.min(size)) * 100 / u128::from(size.max(1));
    let left = match took.as_secs_f64() / lossy(now.max(1)) * lossy(size.saturating_sub(sent)) {
        seconds if now > 0 => format!("{} left", humantime::format_duration(Duration::from_secs(whole(seconds)))),
        _ => "time left unknown".to_owned(),
    };
    format!("{doing} {percent} %  {} of {}  {}/s  {left}", bytes(sent), bytes(size), rate(now, took))
}

fn rate(sent: u64, took: Duration) -> String {
    bytes(whole(lossy(sent) / took.as_secs_f64().max(0.001)))
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn lossy(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display; the cast saturates")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::{Activity, line};
    use std::time::Duration;

    #[test]
    fn a_line_tells_bytes_percent_rate_and_time_left() {
        assert_eq!(
            line(Activity::Uploading, 256_000_000, 0, Some(1_024_000_000), Duration::from_secs(4)),
            "Uploading 25 %  256.0 MB of 1.0 GB  64.0 MB/s  12s left"
        );
        assert_eq!(
            line(Activity::Uploading, 0, 0, Some(1_000), Duration::from_secs(4)),
            "Uploading 0 %  0 B of 1.0 kB  0 B/s  time left unknown"
        );
        assert_eq!(
            line(Activity::Uploading, 900_000_000, 800_000_000, Some(1_000_000_000), Duration::from_secs(4)),
            "Uploading 90 %  900.0 MB of 1.0 GB  25.0 MB/s  4s left",
            "what had been there before is not counted twice"
        );
        assert_eq!(line(Activity::Spooling, 5_000, 0, None, Duration::from_secs(1)), "Spooling 5.0 kB  5.0 kB/s");
    }
}
