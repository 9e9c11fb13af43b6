//! The worker: claims a job, runs one attempt while the heartbeat extends the lease, and records
//! the outcome.

use super::heartbeat::{AbortReason, heartbeat_until_abort};
use super::work_dirs::WorkDirs;
use super::{create_project, gc, run_import};
use crate::server::Core;
use crate::server::import::{self, ImportFailure, ProgressTracker, StopReason};
use crate::server::metadata::{Claim, JobOutcome};
use crate::server::metrics::AttemptOutcome;
use crate::server::postgres::Tools;
use crate::wire::{ImportRequest, ImportSummary, PROJECT_CREATE, PROJECT_IMPORT};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Pause between two polls of the queue when no wakeup arrives.
const IDLE: Duration = Duration::from_secs(1);
/// How often storing an outcome is retried.
const MAX_STORE_RETRIES: u64 = 5;

/// Runs jobs one after another until `stop`, of one kind or of any. `name` identifies this worker in
/// the API (`claimed_by`).
pub(in crate::server) async fn run(
    core: Arc<Core>,
    work_dirs: Arc<WorkDirs>,
    stop: CancellationToken,
    name: String,
    kind: Option<&'static str>,
) {
    while !stop.is_cancelled() {
        let claimed = core.store.claim(&name, kind).await;
        core.metrics.claimed(matches!(claimed, Ok(Some(_))));
        match claimed {
            Ok(Some(claim)) => {
                let span = tracing::info_span!("job", id = claim.job.id, attempt = claim.job.attempts);
                let attempt = AssertUnwindSafe(attempt(&core, claim, &work_dirs, &stop)).catch_unwind();
                // The lease of this job expires; other jobs continue.
                if attempt.instrument(span).await.is_err() {
                    tracing::error!("the attempt panicked: this is a bug in capydb");
                }
            }
            Ok(None) => idle(&core, &stop).await,
            Err(error) => {
                tracing::error!("cannot read the job queue: {error:#}");
                idle(&core, &stop).await;
            }
        }
    }
}

async fn idle(core: &Core, stop: &CancellationToken) {
    tokio::select! {
        () = core.wakeups.jobs.notified() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(IDLE) => {}
    }
}

/// One attempt at one job.
async fn attempt(core: &Core, claim: Claim, work_dirs: &WorkDirs, stop: &CancellationToken) {
    let started = Instant::now();
    let job = &claim.job;
    tracing::info!("job {} ({}): starting attempt {} of {}", job.id, job.kind, job.attempts, job.max_attempts);
    let tracker = Arc::new(ProgressTracker::default());
    let result = run_until_abort(core, &claim, work_dirs, &tracker, stop).await;
    // The programs of the attempt ended with its future. A released job keeps the number of the
    // attempt, so its directory is removed before the next worker can claim it.
    if result.is_none() && stop.is_cancelled() {
        work_dirs.remove(&job.id, job.attempts).await;
    }
    let outcome = match result {
        Some(result) => {
            record_outcome(core, &claim, result.map(|summary| with_duration(summary, started)), &tracker).await
        }
        None if stop.is_cancelled() => release(core, &claim).await,
        None => AttemptOutcome::LeaseLost,
    };
    work_dirs.remove(&job.id, job.attempts).await;
    core.metrics.job_finished(&job.kind, outcome, started.elapsed());
    tracing::info!("attempt finished after {:.1?}: {}", started.elapsed(), outcome.as_str());
}

/// The result of the job's work; `None` when the lease was lost or the worker must stop.
async fn run_until_abort(
    core: &Core,
    claim: &Claim,
    work_dirs: &WorkDirs,
    tracker: &Arc<ProgressTracker>,
    stop: &CancellationToken,
) -> Option<Result<ImportSummary, ImportFailure>> {
    let job = &claim.job;
    let work = work_dirs.attempt(&job.id, job.attempts);
    let mut stop_reason = (job.attempts > job.max_attempts).then_some(StopReason::AttemptsExhausted);
    if claim.cancelled {
        stop_reason = Some(StopReason::Cancelled);
    }
    loop {
        tokio::select! {
            result = perform(core, claim, (&work_dirs.tools, &work), tracker, stop_reason) => return Some(result),
            reason = heartbeat_until_abort(core, claim, tracker, stop_reason) => match reason {
                // With this reason, the import only determines the outcome and cleans up.
                AbortReason::Cancelled => stop_reason = Some(StopReason::Cancelled),
                AbortReason::LeaseLost => return None,
            },
            () = stop.cancelled() => return None,
        }
    }
}

/// Stores how the job ended.
async fn record_outcome(
    core: &Core,
    claim: &Claim,
    result: Result<serde_json::Value, ImportFailure>,
    tracker: &ProgressTracker,
) -> AttemptOutcome {
    let id = &claim.job.id;
    let (stored, outcome) = match result {
        Ok(result) => (JobOutcome { result: Some(result), ..JobOutcome::default() }, AttemptOutcome::Completed),
        Err(failure) if failure.is_unresolved() => {
            tracing::error!("job {id}: the outcome is not known yet: {failure}");
            return AttemptOutcome::Unresolved;
        }
        Err(failure) => (failure.into_outcome(&tracker.progress()), AttemptOutcome::Failed),
    };
    match finish(core, claim, &stored).await {
        Ok(true) => {
            if let Some(error) = &stored.error {
                tracing::warn!("job {id} failed: {error}");
            }
            core.wakeups.wake_outbox();
            outcome
        }
        Ok(false) => {
            tracing::warn!("job {id} was taken over by another worker");
            AttemptOutcome::LeaseLost
        }
        Err(error) => {
            tracing::error!("job {id}: cannot store the outcome: {error:#}");
            AttemptOutcome::Unresolved
        }
    }
}

/// Stores the outcome of the job, then removes the job's leftovers. False if the lease was lost.
async fn finish(core: &Core, claim: &Claim, outcome: &JobOutcome) -> anyhow::Result<bool> {
    if !store_outcome(core, claim, outcome).await? {
        return Ok(false);
    }
    if claim.job.kind != PROJECT_IMPORT {
        return Ok(true);
    }
    let request: ImportRequest = serde_json::from_value(claim.request.clone())?;
    // The next round of garbage collection retries what cannot be removed now.
    if let Some(key) = request.upload_key.filter(|_| outcome.error.is_none())
        && let Err(error) = gc::remove_upload(core, &key).await
    {
        tracing::warn!("cannot remove the dump {key} yet: {error:#}");
    }
    let cleanup = async {
        import::drop_leftovers(&core.target, &claim.job.id).await?;
        core.store.run_exclusively(import::drop_orphans(&core.target, &core.store)).await
    };
    match cleanup.await {
        Ok(true) => {}
        Ok(false) => core.wakeups.request_cleanup(), // another process is cleaning up and may have missed this job
        Err(error) => {
            tracing::warn!("cannot remove the leftovers of the job yet: {error:#}");
            core.wakeups.request_cleanup();
        }
    }
    Ok(true)
}

async fn store_outcome(core: &Core, claim: &Claim, outcome: &JobOutcome) -> anyhow::Result<bool> {
    let mut retries = 0;
    loop {
        match core.store.finish_job(&claim.job, outcome).await {
            Err(error) if retries < MAX_STORE_RETRIES => {
                tracing::warn!("cannot store the outcome of a job, retrying: {error:#}");
                retries += 1;
                tokio::time::sleep(Duration::from_secs(retries)).await;
            }
            result => return result,
        }
    }
}

/// Puts the job back into the queue.
async fn release(core: &Core, claim: &Claim) -> AttemptOutcome {
    let released = async {
        if core.store.extend_lease(&claim.job).await? {
            import::roll_back_attempt(&core.target, &claim.job).await?;
            core.store.release_job(&claim.job).await?;
        }
        anyhow::Ok(())
    };
    match released.await {
        Ok(()) => AttemptOutcome::Released,
        Err(error) => {
            tracing::error!("job {}: cannot release the job: {error:#}", claim.job.id);
            AttemptOutcome::LeaseLost
        }
    }
}

/// After an error of the metadata database, the outcome of the job is unknown.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
pub(super) fn unresolved(error: anyhow::Error) -> ImportFailure {
    ImportFailure::unresolved(format!("{error:#}"))
}

async fn perform(
    core: &Core,
    claim: &Claim,
    workplace: (&Tools, &Path),
    tracker: &Arc<ProgressTracker>,
    stop_reason: Option<StopReason>,
) -> Result<ImportSummary, ImportFailure> {
    match claim.job.kind.as_str() {
        PROJECT_IMPORT => run_import::run(core, claim, workplace, tracker.clone(), stop_reason).await,
        PROJECT_CREATE => create_project::run(core, claim).await.map(|()| ImportSummary::default()),
        other => Err(anyhow::anyhow!("this worker does not support jobs of type {other}").into()),
    }
}

fn with_duration(summary: ImportSummary, started: Instant) -> serde_json::Value {
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let summary = ImportSummary { duration_seconds: Some(seconds), ..summary };
    serde_json::to_value(summary).unwrap_or_default()
}
