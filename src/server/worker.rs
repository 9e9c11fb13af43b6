//! The worker: claims jobs, keeps their leases alive, runs them, ends them.

use super::App;
use super::importer::{self, Failure, GiveUp, Import, Meter, Source};
use super::objects::Objects;
use super::store::{Beat, Claim, Ending};
use crate::source::SourceUrl;
use crate::wire::{ImportRequest, ImportSummary, PROJECT_CREATE, PROJECT_IMPORT};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

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
/// Pause between two rounds of cleaning.
const CLEANING: Duration = Duration::from_mins(10);
/// The same while something is known to be left, by a full disk for instance.
const CLEANING_AGAIN: Duration = Duration::from_secs(5);

/// Runs jobs one after another until it is told to stop: those of one type, or all.
pub(super) async fn run(app: Arc<App>, work: PathBuf, stop: CancellationToken, kind: Option<&'static str>) {
    let name = format!("worker-{}", std::process::id());
    let mut cleaned: Option<Instant> = None;
    while !stop.is_cancelled() {
        let pause = if app.untidy.load(Ordering::Relaxed) { CLEANING_AGAIN } else { CLEANING };
        if kind.is_none() && cleaned.is_none_or(|last| last.elapsed() > pause) {
            let done = clean(&app, &work).await;
            if let Err(error) = &done {
                tracing::error!("cleaning failed, and is tried again: {error:#}");
            }
            app.untidy.store(done.is_err(), Ordering::Relaxed);
            cleaned = Some(Instant::now());
        }
        match app.store.claim(&name, kind).await {
            Ok(Some(claim)) => attempt(&app, claim, &work, &stop).await,
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
        () = app.wake.notified() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(IDLE) => {}
    }
}

/// One attempt at one job. It ends the job, or hands it back when the worker must stop, or
/// leaves it alone when another worker has it.
async fn attempt(app: &App, claim: Claim, work: &Path, stop: &CancellationToken) {
    let started = Instant::now();
    let job = &claim.job;
    tracing::info!("job {} ({}) begins, attempt {} of {}", job.id, job.kind, job.attempts, job.max_attempts);
    let work = work.join(&job.id);
    let meter = Arc::new(Meter::default());
    let mut give_up = (job.attempts > job.max_attempts).then_some(GiveUp::Worn);
    if claim.cancelled {
        give_up = Some(GiveUp::Cancelled);
    }
    let outcome = loop {
        tokio::select! {
            outcome = perform(app, &claim, &work, &meter, give_up) => break Some(outcome),
            why = broken_off(app, &claim, &meter, give_up) => match why {
                BrokenOff::Cancelled => give_up = Some(GiveUp::Cancelled),
                BrokenOff::Lost => break None,
            },
            () = stop.cancelled() => break None,
        }
    };
    // What the attempt was running died with it; what it made on the server is taken away.
    let _ = std::fs::remove_dir_all(&work);
    let ending = match outcome {
        Some(Ok(result)) => Ending { result: Some(with_duration(result, started)), ..Ending::default() },
        // The lease ends by itself, and whoever has the job next tries to find out.
        Some(Err(failure)) if failure.is_unresolved() => {
            return tracing::error!("job {} cannot be ended yet: {failure}", job.id);
        }
        Some(Err(failure)) => failure.into_ending(&meter.progress()),
        None => {
            if stop.is_cancelled() {
                hand_back(app, &claim).await;
            }
            return;
        }
    };
    match ending.error {
        None => tracing::info!("job {} completed after {:.1?}", job.id, started.elapsed()),
        Some(ref error) => tracing::warn!("job {} failed: {error}", job.id),
    }
    match end(app, &claim, &ending).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("job {} was taken over by another worker", job.id),
        Err(error) => tracing::error!("job {} could not be ended: {error:#}", job.id),
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
        && let Err(error) = remove_upload(app, &key).await
    {
        tracing::warn!("the dump {key} stays for now: {error:#}");
    }
    if let Err(error) = importer::sweep(&app.target, &app.store).await {
        tracing::warn!("what the job has left stays for now: {error:#}");
        app.untidy.store(true, Ordering::Relaxed);
    }
    Ok(stored)
}

async fn hand_back(app: &App, claim: &Claim) {
    let handed = async {
        if app.store.extend_lease(&claim.job).await? {
            importer::tidy(&app.target, &claim.job.id).await?;
            app.store.release_job(&claim.job).await?;
        }
        anyhow::Ok(())
    };
    if let Err(error) = handed.await {
        tracing::error!("job {} could not be handed back: {error:#}", claim.job.id);
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
    work: &Path,
    meter: &Arc<Meter>,
    give_up: Option<GiveUp>,
) -> Result<ImportSummary, Failure> {
    match claim.job.kind.as_str() {
        PROJECT_IMPORT => import(app, claim, work, meter.clone(), give_up).await,
        PROJECT_CREATE => create(app, claim).await.map(|()| ImportSummary::default()),
        other => Err(anyhow::anyhow!("this worker does not know jobs of the type {other}").into()),
    }
}

async fn create(app: &App, claim: &Claim) -> Result<(), Failure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let row = app.store.project(id).await?.context("the project is gone")?;
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
        Err(error) => ("failed", Some(format!("{error:#}"))),
    };
    app.store.set_project_state(id, state, error.as_deref()).await?;
    Ok(made?)
}

async fn import(
    app: &App,
    claim: &Claim,
    work: &Path,
    meter: Arc<Meter>,
    give_up: Option<GiveUp>,
) -> Result<ImportSummary, Failure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let unresolved = |error: anyhow::Error| Failure::unresolved(format!("{error:#}"));
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

/// Takes away what crashes and people who gave up have left.
async fn clean(app: &App, work: &Path) -> anyhow::Result<()> {
    app.rate_limits.forget_the_idle();
    importer::sweep(&app.target, &app.store).await?;
    for folder in std::fs::read_dir(work)?.flatten() {
        let job = app.store.job(&folder.file_name().to_string_lossy()).await?;
        if job.is_none_or(|job| job.state.is_final()) {
            std::fs::remove_dir_all(folder.path())?;
        }
    }
    for key in app.store.abandoned_uploads().await? {
        remove_upload(app, &key).await?;
    }
    match &app.objects {
        Objects::Disk(disk) => Ok(disk.sweep(&app.store.upload_keys().await?)?),
        Objects::S3(_) => Ok(()),
    }
}

async fn remove_upload(app: &App, key: &str) -> anyhow::Result<()> {
    if let Some(upload) = app.store.upload(key).await? {
        app.objects.delete(&upload).await?;
    }
    app.store.remove_upload(key).await
}
