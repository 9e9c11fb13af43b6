//! Moving the data. The promise: the target is in its old state or in the new one, whatever
//! fails on the way.
//!
//! A live source is dumped first, so everything after that reads one kind of archive. Then
//! `recreate` loads into a staging database that takes the target's name at the end, and an
//! import without it is one transaction.

mod child;
mod failure;
mod fetch;
mod in_place;
mod input;
mod plan;
mod prepare;
mod recreate;
mod restore;
mod script;
mod target;

pub(super) use failure::Failure;
pub(super) use recreate::sweep;
use target::Made;
pub(super) use target::TargetServer;

use super::postgres::RunAs;
use super::store::Store;
use crate::preflight::Limits;
use crate::source::SourceUrl;
use crate::wire::{ImportSummary, Job};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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
        import.server.take_back(import.database, &made).await;
    }
    if import.job.attempts > import.job.max_attempts && !finished {
        tidy(import.server, &import.job.id).await?;
        let died = import.job.max_attempts;
        return Err(Failure::transient(format!("the worker died {died} times while it ran this job")));
    }
    if finished {
        tracing::info!("job {}: an attempt before this one had finished it", import.job.id);
        return Ok(import.server.measure(import.database).await?.into());
    }
    let input = input::look(import).await?;
    let input = input::bring(import, input).await?;
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
