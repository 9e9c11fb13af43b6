//! Dumps a live source with `pg_dump`.

use super::error::source_catalog::NextRead;
use super::process::{ChildProcess, program};
use super::progress::tracker::Phase;
use super::resource_limits;
use super::{Import, ImportFailure};
use crate::server::postgres::private_file;
use crate::source::{SourceUrl, pg_programs};
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use anyhow::Context;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// Sources of at least this size, in bytes, are dumped over several connections. For smaller ones a
/// second connection costs more than it saves.
const PARALLEL_FROM: u64 = 64 << 20;

/// Dumps a live source into a directory archive, from the address that was inspected. If a second
/// connection is refused or meets a waiting lock, reads again over one. `free_connections` are those that
/// the source still allows.
pub(super) async fn dump_live_source(
    import: &Import<'_>,
    url: &SourceUrl,
    address: IpAddr,
    size: u64,
    free_connections: i64,
) -> Result<PathBuf, (ImportFailure, NextRead)> {
    check_disk(import, size).map_err(|failure| (failure, NextRead::Stop))?;
    // With several, pg_dump has one more for itself.
    let jobs = if size < PARALLEL_FROM || free_connections < 3 { 1 } else { 2 };
    match dump(import, url, address, size, jobs).await {
        Err((failure, NextRead::OneConnection)) if jobs > 1 => {
            tracing::warn!("job {}: {failure}; reading again over one connection", import.job.id);
            dump(import, url, address, size, 1).await
        }
        // Another try over one connection would fail in the same way.
        Err((failure, NextRead::OneConnection)) => Err((failure, NextRead::Stop)),
        result => result,
    }
}

async fn dump(
    import: &Import<'_>,
    url: &SourceUrl,
    address: IpAddr,
    size: u64,
    jobs: u32,
) -> Result<PathBuf, (ImportFailure, NextRead)> {
    let stop = |error: anyhow::Error| (ImportFailure::from(error), NextRead::Stop);
    let dir = import.work.join("source");
    if dir.exists() {
        tokio::fs::remove_dir_all(&dir).await.map_err(|error| stop(error.into()))?;
    }
    let authorities = url.authorities().map(|pem| write_authorities(import, pem)).transpose().map_err(stop)?;
    let mut command = program(import.tools, "pg_dump", import.work);
    let password = url.password().unwrap_or_default();
    command
        .envs(pg_programs::connection(url, authorities.as_deref()))
        .env("PGHOSTADDR", address.to_string())
        .env("PGAPPNAME", import.application_name())
        .arg(format!("--dbname={}", pg_programs::KEEPALIVES));
    command.arg("--format=directory").arg("--file").arg(&dir);
    command.args([
        "--compress=0", // only local processes read the archive
        "--no-sync",
        "--no-password",
        // The source quotes names by its own list of reserved words; a word that is not reserved in
        // 15 may be reserved in 17.
        "--quote-all-identifiers",
        "--lock-wait-timeout=60000",
    ]);
    command.arg(format!("--jobs={jobs}"));
    tracing::info!("job {}: dumping {url} ({}, {jobs} connections)", import.job.id, bytes(size));
    // The database size, which includes indexes, does not predict the size of the dump.
    import.tracker.enter(Phase::Dumping, None);
    let running = ChildProcess::start(command, &[&password]).map_err(stop)?;
    let finished = tokio::select! {
        finished = running.finish() => finished.map_err(stop)?,
        failure = resource_limits::watch_dump_size(import, &dir) => return Err((failure, NextRead::Stop)),
    };
    if finished.is_success() { Ok(dir) } else { Err(ImportFailure::reading_source(&finished)) }
}

/// Writes the certificates of a source's authorities into a file for libpq.
fn write_authorities(import: &Import<'_>, pem: &str) -> anyhow::Result<PathBuf> {
    let path = import.work.join("source-ca.pem");
    let _ = std::fs::remove_file(&path); // of an earlier try
    private_file(&path, import.tools.run_as.as_ref())?.write_all(pem.as_bytes())?;
    Ok(path)
}

/// Fails early if the disk has no room for the dump and, on the same disk, the new database.
fn check_disk(import: &Import<'_>, size: u64) -> Result<(), ImportFailure> {
    let free = free_disk(import.work).context("cannot read the free disk space")?;
    let local = import.server.endpoint.is_local();
    let (needed, what) =
        if local { (size.saturating_mul(2), "the dump and the new database") } else { (size, "the dump") };
    if free < needed {
        let (free, needed) = (bytes(free), bytes(needed));
        let why = format!("not enough disk space for {what}: about {needed} needed, {free} free");
        return Err(ImportFailure::transient(why));
    }
    Ok(())
}
