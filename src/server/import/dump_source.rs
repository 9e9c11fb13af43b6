//! Dumps a live source with `pg_dump`.

use super::error::explain::ErrorLocation;
use super::process::{ChildProcess, program};
use super::progress::tracker::Phase;
use super::resource_limits;
use super::{Import, ImportFailure};
use crate::source::{SourceUrl, pg_programs};
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use anyhow::Context;
use std::net::IpAddr;
use std::path::PathBuf;

/// Sources of at least this size, in bytes, are dumped over several connections. For smaller ones a
/// second connection costs more than it saves.
const PARALLEL_FROM: u64 = 64 << 20;

/// Dumps a live source into a directory archive, from the address that was inspected.
pub(super) async fn dump_live_source(
    import: &Import<'_>,
    url: &SourceUrl,
    address: IpAddr,
    size: u64,
) -> Result<PathBuf, ImportFailure> {
    check_disk(import, size)?;
    let dir = import.work.join("source");
    let mut command = program(import.tools, "pg_dump", import.work);
    let password = url.password().unwrap_or_default();
    command
        .envs(pg_programs::connection(url))
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
    let jobs = if size < PARALLEL_FROM { 1 } else { 2 };
    command.arg(format!("--jobs={jobs}"));
    tracing::info!("job {}: dumping {url} ({}, {jobs} connections)", import.job.id, bytes(size));
    // The database size, which includes indexes, does not predict the size of the dump.
    import.tracker.enter(Phase::Dumping, None);
    let running = ChildProcess::start(command, &[&password])?;
    let finished = tokio::select! {
        finished = running.finish() => finished?,
        failure = resource_limits::watch_dump_size(import, &dir) => return Err(failure),
    };
    if !finished.is_success() {
        return Err(ImportFailure::program("dumping the source", &finished, &ErrorLocation::default()));
    }
    Ok(dir)
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
