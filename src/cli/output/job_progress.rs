//! Progress of a job that the command waits for.

use super::{Output, ProgressMode, report};
use crate::client::WatchEvent;
use crate::wire::JobState;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::time::{Duration, Instant};

/// Interval of the plain lines of a job whose progress does not change.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// Interval of JSON progress events.
const EVENTS: Duration = Duration::from_secs(1);
/// Interval of the plain lines of an import that reports its progress.
const LINES: Duration = Duration::from_secs(10);

/// The progress line of a job.
pub(in crate::cli) struct JobProgress {
    drawing: ProgressMode,
    spinner: ProgressBar,
    seen: Option<JobState>,
    phase: Option<String>,
    /// Time of the last JSON progress event.
    last_event: Instant,
    poll_failed: bool,
    last_line: Instant,
    started: Instant,
}

impl JobProgress {
    pub(in crate::cli) fn start(output: &Output) -> Self {
        let drawing = output.progress();
        let spinner = match drawing {
            ProgressMode::Live => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            ProgressMode::Lines | ProgressMode::Json | ProgressMode::None => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            spinner.set_style(style);
        }
        if drawing == ProgressMode::Live {
            spinner.enable_steady_tick(Duration::from_millis(120));
        }
        Self {
            drawing,
            spinner,
            seen: None,
            phase: None,
            last_event: Instant::now(),
            poll_failed: false,
            last_line: Instant::now(),
            started: Instant::now(),
        }
    }

    /// Shows an event of the watcher.
    pub(in crate::cli) fn show(&mut self, event: &WatchEvent<'_>) {
        match event {
            WatchEvent::Job(job) => {
                let progress = job.import_progress().filter(|_| job.state == JobState::Running);
                let state_text = progress.as_ref().map_or_else(|| state_text(job.state).to_owned(), report::progress);
                self.spinner.set_message(state_text.clone());
                let phase = progress.as_ref().map(|progress| progress.phase.clone());
                let moved = phase.is_some() && self.phase != phase;
                if let (ProgressMode::Json, Some(progress)) = (self.drawing, &progress)
                    && (moved || self.last_event.elapsed() > EVENTS)
                {
                    let mut event = json!({ "event": "import", "id": job.id });
                    event["progress"] = json!(progress);
                    super::event(&event);
                    self.last_event = Instant::now();
                }
                self.phase = phase;
                let news = self.seen.replace(job.state) != Some(job.state) || std::mem::take(&mut self.poll_failed);
                if self.drawing == ProgressMode::Json && news {
                    super::event(&json!({ "event": "job", "id": job.id, "state": job.state.as_str() }));
                }
                if news || (progress.is_some() && (moved || self.last_line.elapsed() > LINES)) {
                    self.line(&state_text);
                } else if self.last_line.elapsed() > HEARTBEAT {
                    self.line(&format!("{state_text} (for {} s)", self.started.elapsed().as_secs()));
                }
            }
            WatchEvent::PollFailed(error) => {
                self.spinner.set_message(format!("{error}; retrying"));
                if !self.poll_failed && self.drawing == ProgressMode::Json {
                    super::event(&json!({ "event": "trouble", "message": error.to_string() }));
                }
                if !self.poll_failed {
                    self.line(&format!("{error}; retrying"));
                }
                self.poll_failed = true;
            }
        }
    }

    /// Removes the line.
    pub(in crate::cli) fn end(&self) {
        self.spinner.finish_and_clear();
    }

    fn line(&mut self, text: &str) {
        if self.drawing == ProgressMode::Lines {
            super::write_stderr(text);
        }
        self.last_line = Instant::now();
    }
}

fn state_text(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "Waiting for a worker",
        JobState::Running => "Importing",
        JobState::Completed => "Completed",
        JobState::Failed => "Failed",
        JobState::Unknown => "In a state unknown to this version",
    }
}
