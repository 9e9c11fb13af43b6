//! The worker: claims jobs, keeps their leases alive, runs them, ends them.

use super::App;
use super::importer::{self, Failure, GiveUp, Import, Meter, Source};
use super::objects::Objects;
use super::postgres::Tools;
use super::store::{Beat, Claim, Ending};
use crate::source::SourceUrl;
use crate::wire::{ImportRequest, ImportSummary, PROJECT_CREATE, PROJECT_IMPORT};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
/// Stands between a job's id and the number of an attempt in the name of a work folder.
const BEFORE_ATTEMPT: &str = ".attempt-";
/// Pause between two rounds of cleaning.
const CLEANING: Duration = Duration::from_mins(10);
/// The same while something is known to be left, by a full disk for instance.
const CLEANING_AGAIN: Duration = Duration::from_secs(5);

/// What a worker works with.
pub(super) struct Workshop {
    pub(super) tools: Tools,
    /// Holds a folder for every attempt. Several processes may share it.
    pub(super) folder: PathBuf,
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
                attempt(&app, claim, &workshop, &stop).instrument(span).await;
            }
            Ok(None) => idle(&app, &stop).await,
            Err(error) => {
                tracing::error!("the queue cannot be read: {error:#}");
                idle(&app, &stop).await;
            }
        }
    }
}

/// Takes away now and then what crashes and people who gave up have left.
pub(super) async fn keep_clean(app: Arc<App>, workshop: Arc<Workshop>, stop: CancellationToken) {
    loop {
        let done = clean(&app, &workshop.folder).await;
        if let Err(error) = &done {
            tracing::error!("cleaning failed, and is tried again: {error:#}");
        }
        app.untidy.store(done.is_err(), Ordering::Relaxed);
        let cleaned = Instant::now();
        let pause = || if app.untidy.load(Ordering::Relaxed) { CLEANING_AGAIN } else { CLEANING };
        while cleaned.elapsed() < pause() {
            if stop.run_until_cancelled(tokio::time::sleep(IDLE)).await.is_none() {
                return;
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
async fn attempt(app: &App, claim: Claim, workshop: &Workshop, stop: &CancellationToken) {
    let started = Instant::now();
    let job = &claim.job;
    tracing::info!("job {} ({}) begins, attempt {} of {}", job.id, job.kind, job.attempts, job.max_attempts);
    let work = work_folder(workshop, &job.id, job.attempts);
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
    // What the attempt was running died with it; what it made on the server is taken away.
    // So is what earlier attempts have left here whose worker died.
    for number in 1..=job.attempts {
        let _ = tokio::fs::remove_dir_all(work_folder(workshop, &job.id, number)).await;
    }
    let ending = match outcome {
        Some(Ok(result)) => Ending { result: Some(with_duration(result, started)), ..Ending::default() },
        // The lease ends by itself, and whoever has the job next tries to find out.
        Some(Err(failure)) if failure.is_unresolved() => {
            return tracing::error!("job {} cannot be ended yet: {failure}", job.id);
        }
        Some(Err(failure)) => failure.into_ending(&meter.progress()),
        None => {
            let handed_back = stop.is_cancelled();
            app.metrics.job_over(&job.kind, if handed_back { "handed_back" } else { "lost" }, started.elapsed());
            if handed_back {
                hand_back(app, &claim).await;
            }
            return;
        }
    };
    app.metrics.job_over(&job.kind, if ending.error.is_none() { "completed" } else { "failed" }, started.elapsed());
    match ending.error {
        None => tracing::info!("job {} completed after {:.1?}", job.id, started.elapsed()),
        Some(ref error) => tracing::warn!("job {} failed: {error}", job.id),
    }
    match end(app, &claim, &ending).await {
        Ok(true) => app.tell_news(),
        Ok(false) => tracing::warn!("job {} was taken over by another worker", job.id),
        Err(error) => tracing::error!("job {} could not be ended: {error:#}", job.id),
    }
}

/// Where an attempt puts what it loads. One that is late must not find the folder of the next.
fn work_folder(workshop: &Workshop, job: &str, attempt: i32) -> PathBuf {
    workshop.folder.join(format!("{job}{BEFORE_ATTEMPT}{attempt}"))
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
    let tidy = async {
        importer::drop_leftovers(&app.target, &claim.job.id).await?;
        app.store.alone(importer::sweep(&app.target, &app.store)).await
    };
    if let Err(error) = tidy.await {
        tracing::warn!("what the job has left stays for now: {error:#}");
        app.untidy.store(true, Ordering::Relaxed);
    }
    Ok(stored)
}

async fn hand_back(app: &App, claim: &Claim) {
    let handed = async {
        if app.store.extend_lease(&claim.job).await? {
            importer::tidy(&app.target, &claim.job).await?;
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
        // A server that is away comes back; whoever has the job next tries again.
        Err(error) if claim.job.attempts < claim.job.max_attempts && !app.target.is_up().await => {
            return Err(Failure::unresolved(format!("{error:#}")));
        }
        Err(error) => ("failed", Some(format!("{error:#}"))),
    };
    if !app.store.extend_lease(&claim.job).await? {
        return Err(Failure::unresolved("another worker has taken over this job"));
    }
    app.store.set_project_state(id, state, error.as_deref()).await?;
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

/// Takes away what crashes and people who gave up have left.
async fn clean(app: &App, work: &Path) -> anyhow::Result<()> {
    for folder in std::fs::read_dir(work)?.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        // Whatever has another name is nothing of ours.
        let Some((id, _)) = name.split_once(BEFORE_ATTEMPT) else { continue };
        if app.store.job(id).await?.is_some_and(|job| job.state.is_final())
            && let Err(error) = tokio::fs::remove_dir_all(folder.path()).await
        {
            tracing::warn!("{name} stays for now: {error}"); // or another process was quicker
        }
    }
    // One process is enough for what belongs to all.
    app.store.alone(clean_together(app)).await
}

async fn clean_together(app: &App) -> anyhow::Result<()> {
    importer::sweep(&app.target, &app.store).await?;
    app.store.forget_old_deliveries().await?;
    for key in app.store.abandoned_uploads().await? {
        // Somebody may have come back to it by now.
        if let Some(upload) = app.store.forget_abandoned(&key).await? {
            app.objects.delete(&upload).await?;
        }
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
