//! `capydb jobs …`: shows, lists, cancels and watches jobs.

use super::context::Context;
use super::output::job_progress::JobProgress;
use super::output::report;
use super::signals::interrupted;
use super::{CliError, ErrorKind};
use crate::client::{Api, CallError, Watch, watch};
use crate::wire::{FailureCode, Job, JobState, PROJECT_IMPORT};
use serde_json::json;
use std::time::Duration;

/// `capydb jobs get`.
pub(super) async fn get(context: &Context<'_>, id: &str) -> Result<(), CliError> {
    let job = context.api()?.job(id).await.map_err(no_such_job)?;
    context.output.result(&report::job(&job), || json!({ "job": job }));
    Ok(())
}

/// `capydb jobs list`.
pub(super) async fn list(context: &Context<'_>, project: Option<&str>, limit: u32) -> Result<(), CliError> {
    let api = context.api()?;
    let project = context.project(&api, project).await?;
    let jobs = api.jobs(&project.id, limit).await?;
    context.output.result(&report::jobs(&jobs), || json!({ "jobs": jobs }));
    Ok(())
}

/// `capydb jobs wait`.
pub(super) async fn wait(context: &Context<'_>, id: &str, timeout: Option<Duration>) -> Result<(), CliError> {
    let api = context.api()?;
    let job = watch_to_end(context, &api, id, timeout).await?;
    context.output.result(&report::ended(&job, None), || json!({ "job": job }));
    Ok(())
}

/// `capydb jobs cancel`. A job that completed before the cancellation is an error.
pub(super) async fn cancel(context: &Context<'_>, id: &str) -> Result<(), CliError> {
    let api = context.api()?;
    let failed = |error: CallError| {
        let unsupported = error.is_route_missing();
        let failure = no_such_job(error);
        if unsupported { failure.hint("this control plane may not support cancelling jobs") } else { failure }
    };
    api.cancel_job(id).await.map_err(failed)?;
    let job = watched(context, &api, id, None).await?;
    if job.state == JobState::Completed {
        let failure = CliError::new(ErrorKind::Conflict, "the import finished before it could be cancelled");
        return Err(failure.with("job", &job));
    }
    let target = match job.failure_code() {
        Some(FailureCode::PartlyCommitted) => "The target was changed: inspect it first.",
        _ => "The target is unchanged.",
    };
    let text = format!("Job {} ended: {}. {target}", job.id, failure_reason(&job));
    context.output.result(&text, || json!({ "job": job }));
    Ok(())
}

fn no_such_job(error: CallError) -> CliError {
    let failure = CliError::from(error);
    let needs_hint = failure.kind == ErrorKind::NotFound && failure.hint.is_none();
    if needs_hint { failure.hint("list the jobs of a project with: capydb jobs list") } else { failure }
}

/// Watches a job to its end, with live progress. A failed job is an error. Ctrl-C stops the
/// watching, not the job, and the hint names the command that resumes.
pub(super) async fn watch_to_end(
    context: &Context<'_>,
    api: &Api,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Job, CliError> {
    let job = watched(context, api, id, timeout).await?;
    if job.state == JobState::Completed { Ok(job) } else { Err(failed(&job)) }
}

/// Watches a job until it completes or fails.
async fn watched(context: &Context<'_>, api: &Api, id: &str, timeout: Option<Duration>) -> Result<Job, CliError> {
    let again = format!("resume waiting with: capydb jobs wait {id}");
    let mut line = JobProgress::start(context.output);
    let watched = tokio::select! {
        watched = watch(api, id, timeout, |event| line.show(&event)) => watched,
        () = interrupted() => {
            line.end();
            let stopped = CliError::new(ErrorKind::Interrupted, "stopped waiting; the job is still running");
            return Err(stopped.hint(again).with("job_id", &id));
        }
    };
    line.end();
    let ended = watched.map_err(|error| {
        let failure = no_such_job(error);
        if failure.kind == ErrorKind::Error { failure.hint(again.clone()) } else { failure }
    })?;
    match ended {
        Watch::TimedOut => Err(CliError::new(ErrorKind::Timeout, "the wait timed out; the job is still running")
            .hint(again)
            .with("job_id", &id)),
        Watch::Ended(job) => Ok(*job),
    }
}

/// Why a job failed.
fn failure_reason(job: &Job) -> String {
    crate::util::format::printable(job.error.as_deref().unwrap_or("no reason reported"), 1000)
}

pub(super) fn failed(job: &Job) -> CliError {
    let failure_reason = failure_reason(job);
    let mut message = format!("the job failed: {failure_reason}");
    let errors = job.import_errors();
    for error in &errors {
        message = format!("{message}\n{}", report::import_error(error));
    }
    // The stderr often repeats the error message.
    let news = |text: &&str| {
        errors.is_empty() && text.lines().any(|line| !line.trim().is_empty() && !line.contains(failure_reason.trim()))
    };
    if let Some(stderr) = job.last_stderr.as_deref().filter(news) {
        let lines = crate::util::format::tail(stderr, 2000);
        let last: Vec<&str> = lines.lines().rev().take(8).collect();
        let shown: Vec<String> = last.into_iter().rev().map(|line| format!("  | {line}")).collect();
        message = format!("{message}\n{}", shown.join("\n"));
    }
    let failure = CliError::new(ErrorKind::Error, message).with("job", job);
    if job.kind != PROJECT_IMPORT {
        return failure;
    }
    let fix = errors.iter().find_map(|error| error.fix.as_deref());
    let hint = match (job.failure_code(), fix, job.retry_classification.as_deref()) {
        (Some(FailureCode::PartlyCommitted), ..) => {
            "the target was partly changed; inspect it before retrying".to_owned()
        }
        (Some(FailureCode::Cancelled), ..) => "the target is unchanged; to import, run the command again".to_owned(),
        (_, Some(fix), _) => format!("the target is unchanged; {}", crate::util::format::printable(fix, 300)),
        (_, None, Some("transient")) => {
            "the target is unchanged; this may be temporary: run the import again".to_owned()
        }
        (_, None, _) => {
            "the target is unchanged; fix the cause and run the import again (--recreate replaces the target database)"
                .to_owned()
        }
    };
    failure.hint(hint)
}
