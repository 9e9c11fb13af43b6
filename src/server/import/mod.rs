//! Moving the data. The promise: the target is in its old state or in the new one, whatever
//! fails on the way.
//!
//! A live source is dumped first, so everything after that reads one kind of archive. Then
//! `recreate` loads into a staging database that takes the target's name at the end, and an
//! import without it is one transaction.

mod commit_guard;
mod dump_source;
mod error;
mod in_place;
mod input;
mod plan;
mod prepare;
mod process;
mod progress;
mod recovery;
mod recreate;
mod resource_limits;
mod restore;
mod script;

pub(super) use error::failure::ImportFailure;
use progress::tracker::Phase;
pub(super) use progress::tracker::ProgressTracker;
use recovery::find_outcome;
pub(super) use recreate::{drop_leftovers, drop_orphans};

use super::metadata::Store;
use super::objects::Objects;
use super::postgres::{RunAs, Tools};
use super::target::TargetServer;
use crate::preflight::Limits;
use crate::source::SourceUrl;
use crate::wire::{ImportSummary, Job};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::Client;

/// One attempt at one import.
pub(super) struct Import<'a> {
    pub(super) server: &'a TargetServer,
    pub(super) store: &'a Store,
    pub(super) objects: &'a Objects,
    pub(super) tools: &'a Tools,
    pub(super) job: &'a Job,
    pub(super) source: ImportSource,
    /// Replace the target instead of loading into it.
    pub(super) recreate: bool,
    pub(super) database: &'a str,
    pub(super) role: &'a str,
    pub(super) role_password: &'a str,
    pub(super) limits: Limits,
    /// A folder of this attempt alone.
    pub(super) work: &'a Path,
    pub(super) allow_private_sources: bool,
    /// How far it is.
    pub(super) tracker: Arc<ProgressTracker>,
    /// Do not begin again: find out how the attempt before this one ended, and clean up.
    pub(super) stop_reason: Option<StopReason>,
}

/// Why an import is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Somebody asked for its end.
    Cancelled,
    /// Its workers died too often.
    AttemptsExhausted,
}

/// Where the data comes from.
pub(super) enum ImportSource {
    /// A live database.
    Url(SourceUrl),
    /// The key of an uploaded dump.
    Upload(String),
}

impl Import<'_> {
    /// The name by which this import's sessions are known to the target server.
    fn application_name(&self) -> String {
        format!("{}{}", application_prefix(&self.job.id), self.job.attempts)
    }

    /// A session of the administrator that changes something for this import.
    async fn session(&self, database: &str) -> anyhow::Result<Client> {
        self.server.session_as(&self.application_name(), database).await
    }
}

/// Beginning of the names of a job's sessions; the number of the attempt follows.
fn application_prefix(job: &str) -> String {
    format!("capydb import {job} ")
}

/// Runs the import, or finds that it is finished already.
pub(super) async fn run(import: &Import<'_>) -> Result<ImportSummary, ImportFailure> {
    if let Some(summary) = find_outcome(import).await? {
        tracing::info!("job {}: an attempt before this one had finished it", import.job.id);
        return Ok(summary);
    }
    if let Some(why) = import.stop_reason {
        return Err(match why {
            StopReason::Cancelled => ImportFailure::cancelled(),
            StopReason::AttemptsExhausted => {
                let died = import.job.max_attempts;
                ImportFailure::transient(format!("the worker died {died} times while it ran this job"))
            }
        });
    }
    let done = tokio::select! {
        done = attempt(import) => done,
        failure = resource_limits::disk_almost_full(import) => Err(failure),
        failure = resource_limits::time_limit_exceeded() => Err(failure),
    };
    let Err(failure) = done else { return done };
    match find_outcome(import).await? {
        None => Err(failure),
        // A swap is only ever made of what has been loaded whole.
        Some(summary) if import.recreate || failure.script_finished() => Ok(summary),
        Some(_) => Err(failure.although_committed()),
    }
}

async fn attempt(import: &Import<'_>) -> Result<ImportSummary, ImportFailure> {
    make_work_folder(import.work, import.tools.run_as.as_ref()).await.context("make a work folder")?;
    let input = input::inspect_source(import).await?;
    let input = input::materialize(import, input).await?;
    import.tracker.enter(Phase::Preparing, None);
    if import.recreate { recreate::run(import, &input).await } else { in_place::run(import, &input).await }
}

/// Takes away what an attempt that was ended from outside left on the target server.
pub(super) async fn roll_back_attempt(server: &TargetServer, job: &Job) -> anyhow::Result<()> {
    server.terminate_attempts(&application_prefix(&job.id), job.attempts).await?;
    recreate::drop_staging(server, &job.id).await
}

/// Makes a folder that the import's programs can use. Those of an attempt that has just been
/// broken off may still be writing into it.
async fn make_work_folder(folder: &Path, run_as: Option<&RunAs>) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut tries = 0;
    while folder.exists() {
        match std::fs::remove_dir_all(folder) {
            Err(error) if tries > 20 => return Err(error),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            Ok(()) => {}
        }
        tries += 1;
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    run_as.map_or(Ok(()), |user| user.own(folder))
}
