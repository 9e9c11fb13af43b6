//! `--via-dump` and `--local`: inspects and dumps a source from this machine.

use super::context::Context;
use super::dump::spool_error;
use super::output::progress::{Activity, ByteProgress};
use super::{CliError, ErrorKind};
use crate::config;
use crate::dump::{DumpFile, detect, spool};
use crate::preflight::{Limits, TARGET_MAJOR, TargetFacts, grade_source};
use crate::source::pg_programs::{self, PgDump};
use crate::source::{SourceUrl, connect, risks};
use crate::util::byte_counter::ByteCounter;
use crate::util::format::major;
use crate::util::process::kill_on_parent_death;
use crate::wire::{Check, CheckStatus, Preflight};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How much of the end of `pg_dump`'s stderr is kept, in bytes.
const MAX_OUTPUT: usize = 64 << 10;

/// Inspects a source from this machine and grades it.
pub(super) async fn inspect(
    context: &Context<'_>,
    url: &SourceUrl,
    limits: &Limits,
    target: &TargetFacts,
) -> Result<Preflight, CliError> {
    context.output.note("Checking the source from this machine …");
    let session = connect::connect(url, true).await.map_err(|error| {
        let hint = match error {
            connect::ConnectError::Login(..) if url.password().is_none() => {
                "put the password into the URL, PGPASSWORD or ~/.pgpass"
            }
            _ => "check the URL with psql on this machine",
        };
        CliError::new(ErrorKind::Error, error.to_string()).hint(hint)
    })?;
    let (facts, risks) = risks::inspect_fully(&session, url, true).await?;
    Ok(grade_source(facts, &risks, limits, target))
}

/// The check whether this machine has a `pg_dump` for the source.
pub(super) fn tool_check(report: &Preflight) -> Check {
    let tool = find_pg_dump(&report.source.server_version, &report.target_version);
    let (status, detail, fix) = match tool {
        Ok(tool) => (CheckStatus::Pass, format!("pg_dump {} ({})", tool.version, tool.path.display()), None),
        Err(failure) => (CheckStatus::Warn, format!("{} (needed only for --via-dump)", failure.message), failure.hint),
    };
    Check { name: "pg_dump_available".to_owned(), status, detail: Some(detail), evidence: Vec::new(), fix }
}

/// Chooses the `pg_dump` for a source and target version, and reports the choice.
pub(super) fn choose(context: &Context<'_>, source: &str, target: &str) -> Result<PgDump, CliError> {
    let tool = find_pg_dump(source, target)?;
    context.output.note(&format!("Dumping with pg_dump {} ({})", tool.version, tool.path.display()));
    Ok(tool)
}

fn find_pg_dump(source: &str, target: &str) -> Result<PgDump, CliError> {
    let (source, target) = (major(source).unwrap_or_default(), major(target).unwrap_or(TARGET_MAJOR));
    let tools = pg_programs::pg_dumps(config::postgres_bin());
    let Some(tool) = pg_programs::best_match(&tools, source, target) else {
        let found: Vec<String> = tools.iter().map(|tool| format!("{} ({})", tool.major, tool.path.display())).collect();
        let found = if found.is_empty() { "none installed".to_owned() } else { format!("found: {}", found.join(", ")) };
        let wanted = if source == target { source.to_string() } else { format!("{source} to {target}") };
        return Err(CliError::new(ErrorKind::Conflict, format!("no pg_dump of version {wanted} on this machine; {found}"))
            .hint(format!("install pg_dump: apt install postgresql-client-{target}, dnf install postgresql{target}, brew install postgresql@{target}")));
    };
    Ok(tool.clone())
}

/// Dumps a source into a private file. `size` is the size of the database, in bytes.
pub(super) async fn dump(
    context: &Context<'_>,
    url: &SourceUrl,
    tool: &PgDump,
    size: u64,
    authorities: Option<&Path>,
) -> Result<DumpFile, CliError> {
    // A compressed dump is rarely larger than half of its database.
    let file = spool::create(size / 2).map_err(spool_error)?;
    let out = file.try_clone().map_err(anyhow::Error::from)?;
    let mut command = Command::new(&tool.path);
    command
        .env_clear()
        .envs(
            std::env::vars_os()
                .filter(|(name, _)| ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"].iter().any(|kept| name == kept)),
        )
        .env("LC_ALL", "C")
        .env("PGAPPNAME", "capydb import")
        .env("PGCONNECT_TIMEOUT", "15")
        .envs(pg_programs::connection(url, authorities))
        // The server prints views with its own list of reserved words, which later versions extend.
        .args(["--format=custom", "--quote-all-identifiers", "--no-password", "--lock-wait-timeout=60000"])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if !url.is_socket() {
        command.arg(format!("--dbname={}", pg_programs::KEEPALIVES));
    }
    kill_on_parent_death(command.as_std_mut(), rustix::process::Signal::KILL, None);
    let mut child = command.spawn().map_err(|error| anyhow::anyhow!("cannot run {}: {error}", tool.path.display()))?;
    let progress = ByteCounter::default();
    let meter = ByteProgress::start(context.output, Activity::Dumping, None, progress.clone());
    let growing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            progress.store(file.metadata().map_or(0, |about| about.len()), Ordering::Relaxed);
        }
    };
    let mut stderr = child.stderr.take();
    let said = async {
        let (mut said, mut block) = (Vec::new(), vec![0; 8 << 10]);
        // Read everything, or pg_dump would block on a full pipe; keep only the end.
        while let Some(pipe) = &mut stderr
            && let Ok(length @ 1..) = pipe.read(&mut block).await
        {
            said.extend_from_slice(&block[..length]);
            let more = said.len().saturating_sub(MAX_OUTPUT);
            said.drain(..more);
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    let (said, status) = tokio::select! {
        ended = async { (said.await, child.wait().await) } => ended,
        () = growing => return Err(CliError::new(ErrorKind::Error, "the dump's progress task stopped")),
    };
    if !status.map_err(anyhow::Error::from)?.success() {
        drop(meter);
        let password = url.password().unwrap_or_default();
        // Masking a very short password would garble unrelated text and hide nothing.
        let said = if password.len() < 4 { said } else { said.replace(&password, "***") };
        let said = crate::util::format::tail(&said, 1000);
        return Err(CliError::new(ErrorKind::Error, format!("pg_dump failed:\n  | {}", said.replace('\n', "\n  | ")))
            .hint("nothing was uploaded; fix the cause and run the command again"));
    }
    progress.store(file.metadata().map_or(0, |about| about.len()), Ordering::Relaxed);
    meter.finish();
    Ok(detect::identify(file, "the dump of the source".into())?)
}
