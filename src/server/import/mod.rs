//! The import engine. It guarantees that the target is either in its old or in its new state, whatever
//! fails.
//!
//! A live source is dumped first, so that all later steps read an archive. With `recreate`, the data is
//! loaded into a staging database that replaces the target at the end; otherwise the import is one
//! transaction.

mod commit_guard;
mod dump_source;
mod error;
mod foreign_keys;
mod grants;
mod in_place;
mod input;
mod locks;
mod own_transactions;
mod plan;
mod prepare;
mod process;
mod progress;
mod recovery;
mod recreate;
mod replication_role;
mod resource_limits;
mod restore;
mod script;
mod spatial_reference;

pub(super) use error::failure::ImportFailure;
use progress::tracker::Phase;
pub(super) use progress::tracker::ProgressTracker;
use recovery::find_outcome;
pub(super) use recreate::{drop_leftovers, drop_orphans};

use super::metadata::Store;
use super::objects::Objects;
use super::postgres::{RunAs, Tools};
use super::target::TargetServer;
use crate::dump::encoding::SourceEncoding;
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
    /// Whether to replace the target instead of loading into it.
    pub(super) recreate: bool,
    /// Whether an empty source may replace a target that has tables.
    pub(super) allow_empty: bool,
    pub(super) database: &'a str,
    pub(super) role: &'a str,
    pub(super) role_password: &'a str,
    pub(super) limits: Limits,
    /// The work directory of this attempt.
    pub(super) work: &'a Path,
    pub(super) allow_private_sources: bool,
    /// The progress of this attempt.
    pub(super) tracker: Arc<ProgressTracker>,
    /// If set, only find out the outcome of the previous attempt and clean up.
    pub(super) stop_reason: Option<StopReason>,
}

/// Why an import is not attempted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The job was cancelled.
    Cancelled,
    /// Its workers died in all attempts.
    AttemptsExhausted,
}

/// Where the data comes from.
pub(super) enum ImportSource {
    /// A live database.
    Url(SourceUrl),
    /// An uploaded dump.
    Upload {
        /// Its key.
        key: String,
        /// The encoding of its text, whatever it declares.
        encoding: Option<SourceEncoding>,
    },
}

impl Import<'_> {
    /// The `application_name` of this attempt's sessions on the target server.
    fn application_name(&self) -> String {
        format!("{}{}", application_prefix(&self.job.id), self.job.attempts)
    }

    /// An administrator session for changes that belong to this attempt.
    async fn session(&self, database: &str) -> anyhow::Result<Client> {
        self.server.session_as(&self.application_name(), database).await
    }
}

/// Prefix of the `application_name` of a job's sessions; the number of the attempt follows.
fn application_prefix(job: &str) -> String {
    format!("capydb import {job} ")
}

/// Runs the import, unless an earlier attempt has completed it.
pub(super) async fn run(import: &Import<'_>) -> Result<ImportSummary, ImportFailure> {
    if let Some(summary) = find_outcome(import).await? {
        tracing::info!("job {}: an earlier attempt completed the import", import.job.id);
        return Ok(summary);
    }
    if let Some(why) = import.stop_reason {
        return Err(match why {
            StopReason::Cancelled => ImportFailure::cancelled(),
            StopReason::AttemptsExhausted => {
                let attempts = import.job.max_attempts;
                ImportFailure::transient(format!("the worker stopped unexpectedly in all {attempts} attempts"))
            }
        });
    }
    let result = tokio::select! {
        result = attempt(import) => result,
        failure = resource_limits::disk_almost_full(import) => Err(failure),
        failure = resource_limits::time_limit_exceeded() => Err(failure),
    };
    let Err(failure) = result else { return result };
    match find_outcome(import).await? {
        None => Err(failure),
        // The databases are swapped only after a complete load.
        Some(summary) if import.recreate || failure.script_finished() => Ok(summary),
        Some(_) => Err(failure.partly_committed()),
    }
}

async fn attempt(import: &Import<'_>) -> Result<ImportSummary, ImportFailure> {
    create_work_dir(import.work, import.tools.run_as.as_ref()).await.context("cannot create the work directory")?;
    let input = input::read_source(import).await?;
    import.tracker.enter(Phase::Preparing, None);
    if import.recreate { recreate::run(import, &input).await } else { in_place::run(import, &input).await }
}

/// Removes from the target server what an interrupted attempt left behind.
pub(super) async fn roll_back_attempt(server: &TargetServer, job: &Job) -> anyhow::Result<()> {
    server.terminate_attempts(&application_prefix(&job.id), job.attempts).await?;
    recreate::drop_staging(server, &job.id).await
}

/// Creates an empty directory that the import's programs can use. Programs of an attempt that was just
/// interrupted may still be writing into it.
async fn create_work_dir(dir: &Path, run_as: Option<&RunAs>) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut retries = 0;
    while dir.exists() {
        match std::fs::remove_dir_all(dir) {
            Err(error) if retries > 20 => return Err(error),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            Ok(()) => {}
        }
        retries += 1;
    }
    std::fs::DirBuilder::new().mode(0o700).create(dir)?;
    run_as.map_or(Ok(()), |user| user.own(dir))
}
