//! The worker: claims jobs, keeps their leases alive, runs them, ends them.

use super::importer::{self, Failure, GiveUp, Import, Meter, Source};
use super::postgres::Tools;
use super::store::{Beat, Claim, Ending};
use super::{App, cleaning};
use crate::source::SourceUrl;
use crate::wire::{ImportRequest, ImportSummary, PROJECT_CREATE, PROJECT_IMPORT};
use anyhow::Context;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Pause between two looks for work when nobody calls.
const IDLE: Duration = Duration::from_secs(1);
/// Pause between two signs of life, well below the lease. They carry the progress, and bring
/// the wish that the job should end.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A sign of life that takes longer than this is none.
const BEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// So long the metadata may be away before another worker can have the job.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often making a project is tried again, a second apart.
const PROVISION_TRIES: u32 = 5;

/// What a worker works with.
pub(super) struct Workshop {
    pub(super) tools: Tools,
    /// Holds a folder for every attempt. Several processes may share it.
    pub(super) folder: PathBuf,
}

/// Stands between a job's id and the number of an attempt in the name of a work folder.
const BEFORE_ATTEMPT: &str = ".attempt-";

impl Workshop {
    /// Where an attempt puts what it loads. One that is late must not find the folder of the next.
    fn attempt(&self, job: &str, attempt: i32) -> PathBuf {
        self.folder.join(format!("{job}{BEFORE_ATTEMPT}{attempt}"))
    }

    /// Removes the folder of an attempt, and what earlier ones have left here whose worker died.
    async fn clear(&self, job: &str, attempt: i32) {
        for number in 1..=attempt {
            let _ = tokio::fs::remove_dir_all(self.attempt(job, number)).await; // most have none
        }
    }

    /// The job of a work folder; `None` for whatever else is there.
    pub(super) fn job_of(folder: &str) -> Option<&str> {
        folder.split_once(BEFORE_ATTEMPT).map(|(job, _)| job)
    }
}

/// Runs jobs one after another until it is told to stop: those of one type, or all. `name` is
/// what the API shows of whoever has a job.
pub(super) async fn run(
    app: Arc<App>,
    workshop: Arc<Workshop>,
    stop: CancellationToken,
    name: String,
    kind: Option<&'static str>,
) {
    while !stop.is_cancelled() {
        let claimed = app.store.claim(&name, kind).await;
        app.metrics.claimed(matches!(claimed, Ok(Some(_))));
        match claimed {
            Ok(Some(claim)) => {
                let span = tracing::info_span!("job", id = claim.job.id, attempt = claim.job.attempts);
                let attempt = AssertUnwindSafe(attempt(&app, claim, &workshop, &stop)).catch_unwind();
                // The lease ends by itself; other jobs go on.
                if attempt.instrument(span).await.is_err() {
                    tracing::error!("an attempt was given up: this is a mistake in capydb");
                }
            }
            Ok(None) => idle(&app, &stop).await,
            Err(error) => {
                tracing::error!("the queue cannot be read: {error:#}");
                idle(&app, &stop).await;
            }
        }
    }
}

async fn idle(app: &App, stop: &CancellationToken) {
    tokio::select! {
        () = app.signals.work.notified() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(IDLE) => {}
    }
}

/// One attempt at one job. It ends the job, or hands it back when the worker must stop, or
/// leaves it alone when another worker has it.
async fn attempt(app: &App, claim: Claim, workshop: &Workshop, stop: &CancellationToken) {
    let started = Instant::now();
    let job = &claim.job;
    tracing::info!("job {} ({}) begins, attempt {} of {}", job.id, job.kind, job.attempts, job.max_attempts);
    let work = workshop.attempt(&job.id, job.attempts);
    let meter = Arc::new(Meter::default());
    let mut give_up = (job.attempts > job.max_attempts).then_some(GiveUp::Worn);
    if claim.cancelled {
        give_up = Some(GiveUp::Cancelled);
    }
    let outcome = loop {
        tokio::select! {
            outcome = perform(app, &claim, (&workshop.tools, &work), &meter, give_up) => break Some(outcome),
            why = broken_off(app, &claim, &meter, give_up) => match why {
                BrokenOff::Cancelled => give_up = Some(GiveUp::Cancelled),
                BrokenOff::Lost => break None,
            },
            () = stop.cancelled() => break None,
        }
    };
    // What the attempt was running died with it.
    let over = match outcome {
        None if stop.is_cancelled() => {
            workshop.clear(&job.id, job.attempts).await; // first: the next attempt has the same number
            hand_back(app, &claim).await
        }
        outcome => {
            let over = match outcome {
                Some(outcome) => settle(app, &claim, outcome.map(|done| with_duration(done, started)), &meter).await,
                None => "lost",
            };
            workshop.clear(&job.id, job.attempts).await;
            over
        }
    };
    app.metrics.job_over(&job.kind, over, started.elapsed());
    tracing::info!("the attempt is over after {:.1?}: {over}", started.elapsed());
}

/// Ends the job as the attempt went, and says in one word what became of that.
async fn settle(app: &App, claim: &Claim, outcome: Result<serde_json::Value, Failure>, meter: &Meter) -> &'static str {
    let id = &claim.job.id;
    let (ending, over) = match outcome {
        Ok(result) => (Ending { result: Some(result), ..Ending::default() }, "completed"),
        // The lease ends by itself, and whoever has the job next tries to find out.
        Err(failure) if failure.is_unresolved() => {
            tracing::error!("job {id} cannot be ended yet: {failure}");
            return "unresolved";
        }
        Err(failure) => (failure.into_ending(&meter.progress()), "failed"),
    };
    match end(app, claim, &ending).await {
        Ok(true) => {
            if let Some(error) = &ending.error {
                tracing::warn!("job {id} failed: {error}");
            }
            app.signals.tell_news();
            over
        }
        Ok(false) => {
            tracing::warn!("job {id} was taken over by another worker");
            "lost"
        }
        Err(error) => {
            tracing::error!("job {id} could not be ended: {error:#}");
            "unresolved"
        }
    }
}

/// Stores how the job ended, then cleans up after it.
async fn end(app: &App, claim: &Claim, ending: &Ending) -> anyhow::Result<bool> {
    let mut tries = 0;
    let stored = loop {
        match app.store.end_job(&claim.job, ending).await {
            Err(error) if tries < 5 => {
                tracing::warn!("storing the end of a job failed, trying again: {error:#}");
                tries += 1;
                tokio::time::sleep(Duration::from_secs(tries)).await;
            }
            result => break result?,
        }
    };
    if !stored || claim.job.kind != PROJECT_IMPORT {
        return Ok(stored);
    }
    let request: ImportRequest = serde_json::from_value(claim.request.clone())?;
    // What cannot be cleaned now is by the next round.
    if let Some(key) = request.upload_key.filter(|_| ending.error.is_none())
        && let Err(error) = cleaning::remove_upload(app, &key).await
    {
        tracing::warn!("the dump {key} stays for now: {error:#}");
    }
    let tidy = async {
        importer::drop_leftovers(&app.target, &claim.job.id).await?;
        app.store.alone(importer::sweep(&app.target, &app.store)).await
    };
    match tidy.await {
        Ok(true) => {}
        Ok(false) => app.signals.set_untidy(), // whoever cleans now may have passed this by
        Err(error) => {
            tracing::warn!("what the job has left stays for now: {error:#}");
            app.signals.set_untidy();
        }
    }
    Ok(stored)
}

async fn hand_back(app: &App, claim: &Claim) -> &'static str {
    let handed = async {
        if app.store.extend_lease(&claim.job).await? {
            importer::tidy(&app.target, &claim.job).await?;
            app.store.release_job(&claim.job).await?;
        }
        anyhow::Ok(())
    };
    match handed.await {
        Ok(()) => "handed_back",
        Err(error) => {
            tracing::error!("job {} could not be handed back: {error:#}", claim.job.id);
            "lost"
        }
    }
}

/// Why an attempt does not go on.
enum BrokenOff {
    /// The job is no longer wanted.
    Cancelled,
    /// The lease cannot be kept.
    Lost,
}

/// Shows signs of life until the attempt must be broken off.
async fn broken_off(app: &App, claim: &Claim, meter: &Meter, give_up: Option<GiveUp>) -> BrokenOff {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let progress = serde_json::json!({ "progress": meter.progress() });
        let beat = tokio::time::timeout(BEAT_TIMEOUT, app.store.beat(&claim.job, &progress)).await;
        match beat {
            Ok(Ok(Beat::Cancelled)) if give_up != Some(GiveUp::Cancelled) => return BrokenOff::Cancelled,
            Ok(Ok(Beat::Lost)) => return BrokenOff::Lost,
            Ok(Ok(Beat::GoOn | Beat::Cancelled)) => last = Instant::now(),
            Ok(Err(_)) | Err(_) if last.elapsed() < PATIENCE => {}
            Ok(Err(_)) | Err(_) => return BrokenOff::Lost,
        }
    }
}

async fn perform(
    app: &App,
    claim: &Claim,
    place: (&Tools, &Path),
    meter: &Arc<Meter>,
    give_up: Option<GiveUp>,
) -> Result<ImportSummary, Failure> {
    match claim.job.kind.as_str() {
        PROJECT_IMPORT => import(app, claim, place, meter.clone(), give_up).await,
        PROJECT_CREATE => create(app, claim).await.map(|()| ImportSummary::default()),
        other => Err(anyhow::anyhow!("this worker does not know jobs of the type {other}").into()),
    }
}

/// Trouble with the metadata says nothing about the job.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unresolved(error: anyhow::Error) -> Failure {
    Failure::unresolved(format!("{error:#}"))
}

async fn create(app: &App, claim: &Claim) -> Result<(), Failure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let row = app.store.project(id).await.map_err(unresolved)?.context("the project is gone")?;
    if row.project.state == "ready" {
        return Ok(()); // another job has made it meanwhile
    }
    let password = app.sealer.open(&row.role_password)?;
    let mut made = app.target.provision(&row.project.database_name, &row.project.role_name, &password).await;
    for _ in 0..PROVISION_TRIES {
        if made.is_ok() {
            break;
        }
        tokio::time::sleep(IDLE).await; // the target server may be starting again
        made = app.target.provision(&row.project.database_name, &row.project.role_name, &password).await;
    }
    let (state, error) = match &made {
        Ok(()) => ("ready", None),
        // A server that is away comes back; whoever has the job next tries again.
        Err(error) if claim.job.attempts < claim.job.max_attempts && !app.target.is_up().await => {
            return Err(Failure::unresolved(format!("{error:#}")));
        }
        Err(error) => ("failed", Some(format!("{error:#}"))),
    };
    if !app.store.extend_lease(&claim.job).await.map_err(unresolved)? {
        return Err(Failure::unresolved("another worker has taken over this job"));
    }
    app.store.set_project_state(id, state, error.as_deref()).await.map_err(unresolved)?;
    Ok(made?)
}

async fn import(
    app: &App,
    claim: &Claim,
    (tools, work): (&Tools, &Path),
    meter: Arc<Meter>,
    give_up: Option<GiveUp>,
) -> Result<ImportSummary, Failure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let row = app.store.project(id).await.map_err(unresolved)?.context("the project is gone")?;
    let request: ImportRequest = serde_json::from_value(claim.request.clone()).map_err(anyhow::Error::from)?;
    let source = match (&claim.secret, &request.upload_key) {
        (Some(sealed), _) => {
            let url = SourceUrl::parse(&app.sealer.open(sealed)?).map_err(anyhow::Error::from)?;
            Source::Url(url.normalise().0)
        }
        (None, Some(key)) => Source::Dump(key.clone()),
        (None, None) => return Err(anyhow::anyhow!("the job names no source").into()),
    };
    let import = Import {
        server: &app.target,
        store: &app.store,
        objects: &app.objects,
        tools,
        job: &claim.job,
        source,
        recreate: request.recreate,
        database: &row.project.database_name,
        role: &row.project.role_name,
        role_password: &app.sealer.open(&row.role_password)?,
        limits: app.limits(&row.project),
        work,
        allow_private_sources: app.allow_private_sources,
        meter,
        give_up,
    };
    importer::run(&import).await
}

fn with_duration(summary: ImportSummary, started: Instant) -> serde_json::Value {
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let summary = ImportSummary { duration_seconds: Some(seconds), ..summary };
    serde_json::to_value(summary).unwrap_or_default()
}
