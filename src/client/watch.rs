use super::{Api, CallError};
use crate::wire::Job;
use std::time::{Duration, Instant};

/// First pause between two looks at a job: a short import must not wait for us.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

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
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut pause = FIRST_PAUSE;
    loop {
        match api.job_once(id).await {
            Ok(job) => {
                told(WatchEvent::Job(&job));
                if job.state.is_final() {
                    return Ok(Watch::Ended(Box::new(job)));
                }
            }
            Err(error) if error.is_transient() => {
                told(WatchEvent::Trouble(&error));
                pause = pause.max(error.retry_after().unwrap_or_default()).max(Duration::from_millis(500));
            }
            Err(error) => return Err(error),
        }
        let mut wait = pause;
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Watch::TimedOut);
            }
            wait = wait.min(left);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE.max(wait));
    }
}
