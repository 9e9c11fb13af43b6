use super::{Drawing, Output};
use crate::client::Progress;
use crate::preflight::bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Pause between two looks for a line that moves: at most ten redraws a second.
const LIVE: Duration = Duration::from_millis(100);
/// Pause between two plain lines.
const LINES: Duration = Duration::from_secs(5);

/// The progress of an upload, drawn beside it.
pub(in crate::cli) struct Meter {
    size: u64,
    started: Instant,
    drawing: Drawing,
    bar: ProgressBar,
    task: Option<JoinHandle<()>>,
}

impl Meter {
    /// Begins to draw. `progress` counts the bytes that the connection has taken.
    pub(in crate::cli) fn start(output: &Output, size: u64, progress: Progress) -> Self {
        let (drawing, started) = (output.progress(), Instant::now());
        let bar = match drawing {
            Drawing::Live => ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr()).with_style(look()),
            Drawing::Lines | Drawing::None => ProgressBar::hidden(),
        };
        let task = match drawing {
            Drawing::None => None,
            Drawing::Live => {
                let bar = bar.clone();
                Some(tokio::spawn(every(LIVE, move || bar.set_position(progress.load(Ordering::Relaxed)))))
            }
            Drawing::Lines => {
                say(&format!("Uploading {}", bytes(size)));
                Some(tokio::spawn(every(LINES, move || {
                    say(&line(progress.load(Ordering::Relaxed), size, started.elapsed()));
                })))
            }
        };
        Self { size, started, drawing, bar, task }
    }

    /// Everything arrived.
    pub(in crate::cli) fn finish(mut self) {
        self.halt();
        self.bar.finish_and_clear();
        if self.drawing != Drawing::None {
            let (took, size) = (self.started.elapsed(), self.size);
            say(&format!("Uploaded {} in {:.1} s ({}/s)", bytes(size), took.as_secs_f64(), rate(size, took)));
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

fn look() -> ProgressStyle {
    ProgressStyle::with_template("Uploading {wide_bar} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

async fn every(pause: Duration, draw: impl Fn()) {
    loop {
        tokio::time::sleep(pause).await;
        draw();
    }
}

/// A plain line: bytes, percent, rate, time left.
fn line(sent: u64, size: u64, took: Duration) -> String {
    let percent = u128::from(sent) * 100 / u128::from(size.max(1));
    let left = match took.as_secs_f64() / lossy(sent.max(1)) * lossy(size.saturating_sub(sent)) {
        seconds if sent > 0 => format!("{} left", humantime::format_duration(Duration::from_secs(whole(seconds)))),
        _ => "time left unknown".to_owned(),
    };
    format!("Uploading {percent} %  {} of {}  {}/s  {left}", bytes(sent), bytes(size), rate(sent, took))
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

#[expect(clippy::print_stderr, reason = "progress goes to standard error")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::time::Duration;

    #[test]
    fn a_line_tells_bytes_percent_rate_and_time_left() {
        assert_eq!(
            line(256_000_000, 1_024_000_000, Duration::from_secs(4)),
            "Uploading 25 %  256.0 MB of 1.0 GB  64.0 MB/s  12s left"
        );
        assert_eq!(line(0, 1_000, Duration::from_secs(4)), "Uploading 0 %  0 B of 1.0 kB  0 B/s  time left unknown");
    }
}
