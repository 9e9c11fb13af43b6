use super::context::Context;
use super::interrupt::interrupted;
use super::output::report;
use super::output::waiting::Waiting;
use super::{Failure, Kind};
use crate::client::{Api, CallError, Watch, watch};
use crate::wire::{Job, JobState, PROJECT_IMPORT};
use serde_json::json;
use std::time::Duration;

/// `capydb jobs get`.
pub(super) async fn get(context: &Context<'_>, id: &str) -> Result<(), Failure> {
    let job = context.api()?.job(id).await.map_err(no_such_job)?;
    context.output.result(&report::job(&job), || json!({ "job": job }));
    Ok(())
}

/// `capydb jobs list`.
pub(super) async fn list(context: &Context<'_>, project: Option<&str>, limit: u32) -> Result<(), Failure> {
    let api = context.api()?;
    let project = context.project(&api, project).await?;
    let jobs = api.jobs(&project.id, limit).await?;
    context.output.result(&report::jobs(&jobs), || json!({ "jobs": jobs }));
    Ok(())
}

/// `capydb jobs wait`.
pub(super) async fn wait(context: &Context<'_>, id: &str, timeout: Option<Duration>) -> Result<(), Failure> {
    let api = context.api()?;
    let job = follow(context, &api, id, timeout).await?;
    context.output.result(&report::ended(&job, None), || json!({ "job": job }));
    Ok(())
}

fn no_such_job(error: CallError) -> Failure {
    let failure = Failure::from(error);
    let lacks = failure.kind == Kind::NotFound && failure.hint.is_none();
    if lacks { failure.hint("the jobs of a project: capydb jobs list") } else { failure }
}

/// Watches a job to its end, with a live line. A failed job is an error; Ctrl-C leaves the
/// job alone and says how to come back.
pub(super) async fn follow(
    context: &Context<'_>,
    api: &Api,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Job, Failure> {
    let again = format!("come back with: capydb jobs wait {id}");
    let mut line = Waiting::start(context.output);
    let watched = tokio::select! {
        watched = watch(api, id, timeout, |event| line.show(&event)) => watched,
        () = interrupted() => {
            line.end();
            let stopped = Failure::new(Kind::Interrupted, "stopped waiting; the job goes on");
            return Err(stopped.hint(again).with("job_id", &id));
        }
    };
    line.end();
    let ended = watched.map_err(|error| {
        let failure = no_such_job(error);
        if failure.kind == Kind::Error { failure.hint(again.clone()) } else { failure }
    })?;
    match ended {
        Watch::TimedOut => {
            Err(Failure::new(Kind::Timeout, "the job is not over yet; it goes on").hint(again).with("job_id", &id))
        }
        Watch::Ended(job) if job.state == JobState::Completed => Ok(*job),
        Watch::Ended(job) => Err(failed(&job)),
    }
}

fn failed(job: &Job) -> Failure {
    let why = job.error.as_deref().unwrap_or("it gave no reason");
    let mut message = format!("the job failed: {}", crate::text::printable(why, 1000));
    // What the error says already need not be said again.
    let news = |text: &&str| text.lines().any(|line| !line.trim().is_empty() && !line.contains(why.trim()));
    if let Some(stderr) = job.last_stderr.as_deref().filter(news) {
        let lines = crate::text::tail(stderr, 2000);
        let last: Vec<&str> = lines.lines().rev().take(8).collect();
        let shown: Vec<String> = last.into_iter().rev().map(|line| format!("  | {line}")).collect();
        message = format!("{message}\n{}", shown.join("\n"));
    }
    let failure = Failure::new(Kind::Error, message).with("job", job);
    if job.kind != PROJECT_IMPORT {
        return failure;
    }
    let hint = match job.retry_classification.as_deref() {
        Some("transient") => "this may pass: run the import again; the target is as it was before",
        _ if why.contains("already exists") => {
            "the target is as it was before; to replace what is there, run the import again with --recreate"
        }
        _ => "the target is as it was before; mend the cause, then run the import again",
    };
    failure.hint(hint)
}
