//! Polls a job until it is finished.

use super::{Api, CallError, CallErrorKind};
use crate::wire::Job;
use std::time::{Duration, Instant};

/// Shortest poll interval.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Longest poll interval, unless `Retry-After` is longer.
const MAX_INTERVAL: Duration = Duration::from_secs(3);
/// Longest `Retry-After` that is honored.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// A progress event.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// The current job.
    Job(&'a Job),
    /// A poll failed and will be retried.
    PollFailed(&'a CallError),
}

/// The outcome of a watch.
#[derive(Debug)]
pub enum Watch {
    /// The job finished.
    Ended(Box<Job>),
    /// The timeout expired; the job is still running.
    TimedOut,
}

/// Polls a job until it is finished or the timeout expires, at growing intervals. Transient
/// errors are retried without limit.
pub async fn watch(
    api: &Api,
    id: &str,
    timeout: Option<Duration>,
    mut notify: impl FnMut(WatchEvent<'_>),
) -> Result<Watch, CallError> {
    let started = Instant::now();
    let deadline = timeout.and_then(|timeout| started.checked_add(timeout));
    let mut seen = false;
    loop {
        // The end of a job is noticed after at most a tenth of the elapsed time.
        let mut wait = (started.elapsed() / 10).clamp(MIN_INTERVAL, MAX_INTERVAL);
        let looked = match deadline {
            None => api.job_once(id).await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), api.job_once(id)).await {
                Ok(looked) => looked,
                Err(_) => return Ok(Watch::TimedOut),
            },
        };
        match looked {
            Ok(job) => {
                seen = true;
                notify(WatchEvent::Job(&job));
                if job.state.is_final() {
                    return Ok(Watch::Ended(Box::new(job)));
                }
            }
            // Once the job is known to exist, a web page comes from a proxy and is transient.
            Err(error) if error.is_transient() || (seen && error.kind == CallErrorKind::InvalidResponse) => {
                notify(WatchEvent::PollFailed(&error));
                let asked = error.retry_after().unwrap_or(Duration::from_millis(500));
                wait = wait.max(asked.min(MAX_RETRY_AFTER));
            }
            Err(error) => return Err(error),
        }
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Watch::TimedOut);
            }
            wait = wait.min(left);
        }
        tokio::time::sleep(wait).await;
    }
}
