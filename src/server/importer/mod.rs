//! Moving the data. The promise: the target is in its old state or in the new one, whatever
//! fails on the way.
//!
//! A live source is dumped first, so everything after that reads one kind of archive. Then
//! `recreate` loads into a staging database that takes the target's name at the end, and an
//! import without it is one transaction.

mod bounds;
mod child;
mod failure;
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
pub(super) use meter::Meter;
use meter::Phase;
pub(super) use recreate::sweep;
use target::Made;
pub(super) use target::{MAX_CONNECTIONS, TargetServer};

use super::postgres::RunAs;
use super::store::{CANCELLED, Store};
use crate::preflight::Limits;
use crate::source::SourceUrl;
use crate::wire::{ImportSummary, Job};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// One attempt at one import.
pub(super) struct Import<'a> {
    pub(super) server: &'a TargetServer,
    pub(super) store: &'a Store,
    pub(super) job: &'a Job,
    /// The transaction of an attempt before this one.
    pub(super) transaction_id: Option<&'a str>,
    /// The transaction of this attempt, once it has begun.
    pub(super) transaction: OnceLock<String>,
    /// What an attempt before this one had made outside of it.
    pub(super) made: Option<&'a serde_json::Value>,
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

    /// Takes back what was made outside of the import's transaction, unless another worker has
    /// the job by now: what is there is what that one counts on.
    async fn take_back(&self, database: &str, made: &Made) {
        match self.store.extend_lease(self.job).await {
            Ok(true) => self.server.take_back(database, made).await,
            Ok(false) => {}
            Err(error) => tracing::warn!("job {}: what it made stays for the next attempt: {error:#}", self.job.id),
        }
    }
}

fn application_name(job: &str) -> String {
    format!("capydb import {job}")
}

/// Runs the import, or finds that an attempt before this one had finished it.
pub(super) async fn run(import: &Import<'_>) -> Result<ImportSummary, Failure> {
    import.server.end_sessions(&import.application_name()).await?;
    let finished = if import.recreate {
        recreate::finished_before(import).await?
    } else {
        in_place::finished_before(import).await?
    };
    if !finished && let Some(made) = import.made {
        let made: Made = serde_json::from_value(made.clone()).map_err(anyhow::Error::from)?;
        // Extensions of a staging database went with it.
        let made = if import.recreate { made.roles_only() } else { made };
        import.take_back(import.database, &made).await;
    }
    if finished {
        tracing::info!("job {}: an attempt before this one had finished it", import.job.id);
        return Ok(import.server.measure(import.database).await?.into());
    }
    if let Some(why) = import.give_up {
        tidy(import.server, &import.job.id).await?;
        return Err(match why {
            GiveUp::Cancelled => Failure::permanent(CANCELLED),
            GiveUp::Worn => {
                let died = import.job.max_attempts;
                Failure::transient(format!("the worker died {died} times while it ran this job"))
            }
        });
    }
    tokio::select! {
        done = attempt(import) => done,
        failure = bounds::disk_is_full(import) => Err(failure),
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
