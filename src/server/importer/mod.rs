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
mod marks;
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
pub(super) use recreate::{drop_leftovers, sweep};
pub(super) use target::{MAX_CONNECTIONS, TargetServer};

use super::objects::Objects;
use super::postgres::{RunAs, Tools};
use super::store::Store;
use crate::preflight::Limits;
use crate::source::SourceUrl;
use crate::wire::{CANCELLED, ImportSummary, Job};
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
    Dump(String),
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
        failure = bounds::too_long() => Err(failure),
    };
    let Err(failure) = done else { return done };
    match fate(import).await? {
        None => Err(failure),
        // A swap is only ever made of what has been loaded whole.
        Some(summary) if import.recreate || failure.all_was_run() => Ok(summary),
        Some(_) => Err(failure.although_committed()),
    }
}

async fn attempt(import: &Import<'_>) -> Result<ImportSummary, Failure> {
    make_work_folder(import.work, import.tools.run_as.as_ref()).await.context("make a work folder")?;
    let input = input::look(import).await?;
    let input = input::bring(import, input).await?;
    import.meter.enter(Phase::Preparing, None);
    if import.recreate { recreate::run(import, &input).await } else { in_place::run(import, &input).await }
}

/// Takes away what an attempt that was ended from outside left on the target server.
pub(super) async fn tidy(server: &TargetServer, job: &Job) -> anyhow::Result<()> {
    server.end_attempts(&application_prefix(&job.id), job.attempts).await?;
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
