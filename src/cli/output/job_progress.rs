//! Progress of a job that the command waits for.

use super::{Output, ProgressMode, report};
use crate::client::WatchEvent;
use crate::wire::JobState;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::time::{Duration, Instant};

/// Interval of the plain lines of a job whose progress does not change.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);

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
    told: Instant,
    troubled: bool,
    said: Instant,
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
            told: Instant::now(),
            troubled: false,
            said: Instant::now(),
            started: Instant::now(),
        }
    }

    /// Shows an event of the watcher.
    pub(in crate::cli) fn show(&mut self, event: &WatchEvent<'_>) {
        match event {
            WatchEvent::Job(job) => {
                let progress = job.import_progress().filter(|_| job.state == JobState::Running);
                let words = progress.as_ref().map_or_else(|| words(job.state).to_owned(), report::progress);
                self.spinner.set_message(words.clone());
                let phase = progress.as_ref().map(|progress| progress.phase.clone());
                let moved = phase.is_some() && self.phase != phase;
                if let (ProgressMode::Json, Some(progress)) = (self.drawing, &progress)
                    && (moved || self.told.elapsed() > EVENTS)
                {
                    let mut event = json!({ "event": "import", "id": job.id });
                    event["progress"] = json!(progress);
                    super::event(&event);
                    self.told = Instant::now();
                }
                self.phase = phase;
                let news = self.seen.replace(job.state) != Some(job.state) || std::mem::take(&mut self.troubled);
                if self.drawing == ProgressMode::Json && news {
                    super::event(&json!({ "event": "job", "id": job.id, "state": job.state.as_str() }));
                }
                if news || (progress.is_some() && (moved || self.said.elapsed() > LINES)) {
                    self.line(&words);
                } else if self.said.elapsed() > SIGN_OF_LIFE {
                    self.line(&format!("{words} (for {} s)", self.started.elapsed().as_secs()));
                }
            }
            WatchEvent::PollFailed(error) => {
                self.spinner.set_message(format!("{error}; retrying"));
                if !self.troubled && self.drawing == ProgressMode::Json {
                    super::event(&json!({ "event": "trouble", "message": error.to_string() }));
                }
                if !self.troubled {
                    self.line(&format!("{error}; retrying"));
                }
                self.troubled = true;
            }
        }
    }

    /// Removes the line.
    pub(in crate::cli) fn end(&self) {
        self.spinner.finish_and_clear();
    }

    fn line(&mut self, text: &str) {
        if self.drawing == ProgressMode::Lines {
            super::say(text);
        }
        self.said = Instant::now();
    }
}

fn words(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "Waiting for a worker",
        JobState::Running => "Importing",
        JobState::Completed => "Completed",
        JobState::Failed => "Failed",
        JobState::Unknown => "In a state unknown to this version",
    }
}
