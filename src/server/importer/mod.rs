//! Moving the data. The promise: the target is in its old state or in the new one, whatever
//! fails on the way.
//!
//! A live source is dumped first, so everything after that reads one kind of archive. Then
//! `recreate` loads into a staging database that takes the target's name at the end, and an
//! import without it is one transaction.

mod bounds;
mod child;
mod failure;
mod fate;
mod fetch;
mod follow;
mod guard;
mod in_place;
mod input;
mod meter;
mod plan;
mod prepare;
mod recreate;
mod restore;
mod script;
mod target;
mod triage;
mod whereabouts;

pub(super) use failure::Failure;
use fate::fate;
pub(super) use meter::Meter;
use meter::Phase;
pub(super) use recreate::sweep;
pub(super) use target::{MAX_CONNECTIONS, TargetServer};

use super::postgres::RunAs;
use super::store::{CANCELLED, Store};
use crate::preflight::Limits;
use crate::source::SourceUrl;
use crate::wire::{ImportSummary, Job};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One attempt at one import.
pub(super) struct Import<'a> {
    pub(super) server: &'a TargetServer,
    pub(super) store: &'a Store,
    pub(super) job: &'a Job,
    pub(super) source: Source,
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
    pub(super) meter: Arc<Meter>,
    /// Do not begin again: find out how the attempt before this one ended, and clean up.
    pub(super) give_up: Option<GiveUp>,
}

/// Why an import is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// Somebody asked for its end.
    Cancelled,
    /// Its workers died too often.
    Worn,
}

/// Where the data comes from.
pub(super) enum Source {
    Url(SourceUrl),
    Dump(PathBuf),
}

impl Import<'_> {
    /// The name by which this import's sessions are known to the target server.
    fn application_name(&self) -> String {
        application_name(&self.job.id)
    }
}

fn application_name(job: &str) -> String {
    format!("capydb import {job}")
}

/// Runs the import, or finds that an attempt before this one had finished it.
pub(super) async fn run(import: &Import<'_>) -> Result<ImportSummary, Failure> {
    if let Some(summary) = fate(import).await? {
        tracing::info!("job {}: an attempt before this one had finished it", import.job.id);
        return Ok(summary);
    }
    if let Some(why) = import.give_up {
        return Err(match why {
            GiveUp::Cancelled => Failure::permanent(CANCELLED),
            GiveUp::Worn => {
                let died = import.job.max_attempts;
                Failure::transient(format!("the worker died {died} times while it ran this job"))
            }
        });
    }
    let done = tokio::select! {
        done = attempt(import) => done,
        failure = bounds::disk_is_full(import) => Err(failure),
    };
    let Err(failure) = done else { return done };
    match fate(import).await? {
        None => Err(failure),
        Some(_) if failure.is_error_of_script() => Err(failure.although_committed()),
        // Only the answer was lost.
        Some(summary) => Ok(summary),
    }
}

async fn attempt(import: &Import<'_>) -> Result<ImportSummary, Failure> {
    let input = input::look(import).await?;
    let input = input::bring(import, input).await?;
    import.meter.enter(Phase::Preparing, None);
    if import.recreate { recreate::run(import, &input).await } else { in_place::run(import, &input).await }
}

/// Takes away what an attempt that was ended from outside left on the target server.
pub(super) async fn tidy(server: &TargetServer, job: &str) -> anyhow::Result<()> {
    server.end_sessions(&application_name(job)).await?;
    recreate::drop_staging(server, job).await
}

/// Makes a folder that the import's programs can use.
pub(super) fn make_work_folder(folder: &Path, run_as: Option<&RunAs>) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    run_as.map_or(Ok(()), |user| user.own(folder))
}
