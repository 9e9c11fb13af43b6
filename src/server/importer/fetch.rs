use super::child::{Running, program};
use super::{Failure, Import};
use crate::preflight::bytes;
use crate::source::{SourceUrl, SslMode};
use std::net::IpAddr;
use std::path::PathBuf;

/// Sources from this size on are dumped over several connections, in bytes. A second
/// connection costs more than it brings on a small one.
const PARALLEL_FROM: u64 = 64 << 20;

/// Dumps a live source into a directory archive, at the address that was judged.
pub(super) async fn fetch(
    import: &Import<'_>,
    url: &SourceUrl,
    address: IpAddr,
    size: u64,
) -> Result<PathBuf, Failure> {
    check_disk(import, size)?;
    let folder = import.work.join("source");
    let mut command = program(&import.server.programs, import.server.run_as.as_ref(), "pg_dump", import.work);
    let password = url.password().unwrap_or_default();
    command
        .env("PGHOST", url.host())
        .env("PGHOSTADDR", address.to_string())
        .env("PGPORT", url.port().to_string())
        .env("PGUSER", url.user())
        .env("PGPASSWORD", &password)
        .env("PGDATABASE", url.database())
        .env("PGAPPNAME", import.application_name())
        .env("PGSSLMODE", ssl_mode(url.ssl_mode()));
    if matches!(url.ssl_mode(), SslMode::VerifyCa | SslMode::VerifyFull) {
        command.env("PGSSLROOTCERT", "system");
    }
    if let Some(options) = url.options() {
        command.env("PGOPTIONS", options);
    }
    // A source that falls silent must not hold the worker for ever.
    command.arg("--dbname=keepalives_idle=30 keepalives_interval=10 keepalives_count=3 tcp_user_timeout=60000");
    command.arg("--format=directory").arg("--file").arg(&folder);
    command.args([
        "--compress=0", // the archive goes from one local process to another
        "--no-sync",
        "--no-password",
        // The server writes view and function texts with its own list of reserved words,
        // and a word that is free in 15 may be reserved in 17.
        "--quote-all-identifiers",
        "--lock-wait-timeout=60000",
    ]);
    let jobs = if size < PARALLEL_FROM { 1 } else { 2 };
    command.arg(format!("--jobs={jobs}"));
    tracing::info!("job {}: dumping {url} ({}, {jobs} at a time)", import.job.id, bytes(size));
    let finished = Running::start(command, &[&password])?.finish().await?;
    if !finished.is_success() {
        return Err(Failure::program("dumping the source", &finished));
    }
    Ok(folder)
}

/// The word for libpq. With the system's authorities it insists on checking the name too,
/// which is no less than was asked for.
fn ssl_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa | SslMode::VerifyFull => "verify-full",
    }
}

/// The dump and the new database both need room; better to say so before the work.
fn check_disk(import: &Import<'_>, size: u64) -> Result<(), Failure> {
    let disk = rustix::fs::statvfs(import.work).map_err(anyhow::Error::from)?;
    let free = disk.f_bavail * disk.f_frsize;
    let needed = size.saturating_mul(2);
    if free < needed {
        let (free, needed) = (bytes(free), bytes(needed));
        let why =
            format!("the import needs about {needed} of free disk for the dump and the new database; there are {free}");
        return Err(Failure::transient(why));
    }
    Ok(())
}
