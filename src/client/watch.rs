use super::{Api, CallError, CallErrorKind};
use crate::wire::Job;
use std::time::{Duration, Instant};

/// Shortest pause between two looks at a job: a short import must not wait for us.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause, unless the service asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Longest pause that a service may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// Something worth drawing.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// The job, as it is now.
    Job(&'a Job),
    /// The control plane cannot be asked at the moment.
    Trouble(&'a CallError),
}

/// How a watch ended.
#[derive(Debug)]
pub enum Watch {
    /// The job is over.
    Ended(Box<Job>),
    /// The deadline came first; the job goes on.
    TimedOut,
}

/// Looks at a job until it is over: often at first, then less so; through network trouble;
/// without a deadline unless one is given.
pub async fn watch(
    api: &Api,
    id: &str,
    timeout: Option<Duration>,
    mut told: impl FnMut(WatchEvent<'_>),
) -> Result<Watch, CallError> {
    let started = Instant::now();
    let deadline = timeout.and_then(|timeout| started.checked_add(timeout));
    let mut seen = false;
    loop {
        // Whoever waits loses at most a tenth of the job's own time.
        let mut wait = (started.elapsed() / 10).clamp(FIRST_PAUSE, LONGEST_PAUSE);
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
                told(WatchEvent::Job(&job));
                if job.state.is_final() {
                    return Ok(Watch::Ended(Box::new(job)));
                }
            }
            // A page of a proxy is trouble on the way, once the job is known to be there.
            Err(error) if error.is_transient() || (seen && error.kind == CallErrorKind::InvalidResponse) => {
                told(WatchEvent::Trouble(&error));
                let asked = error.retry_after().unwrap_or(Duration::from_millis(500));
                wait = wait.max(asked.min(LONGEST_ASKED));
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
