//! Dumps given with `--file`: opens, decompresses, reads and grades them.

use super::args::{ImportOptions, SourceOptions};
use super::context::Context;
use super::output::progress::{Activity, ByteProgress};
use super::output::report;
use super::{CliError, ErrorKind};
use crate::cli::output::report::label;
use crate::client::Api;
use crate::dump::join::{self, JoinError};
use crate::dump::spool::{self, SpoolError};
use crate::dump::{Contents, DumpError, DumpFile, detect, read};
use crate::preflight::{
    ALLOWED_EXTENSIONS, ExistingTables, FILTERS_PLAIN_SQL, ImportMode, Limits, SETS_REPLICATION_ROLE, TARGET_MAJOR,
    grade_dump,
};
use crate::util::byte_counter::ByteCounter;
use crate::util::format::bytes;
use crate::wire::{Check, CheckStatus, Preflight, Project};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// The limits and the import mode that a dump is graded against.
pub(super) struct Target {
    pub(super) limits: Limits,
    pub(super) mode: ImportMode,
}

impl Target {
    /// The target of a project.
    pub(super) fn for_project(project: &Project, recreate: bool) -> Self {
        let version = project.postgres_version.clone().filter(|version| !version.is_empty());
        let has = |name: &str| project.import_features.iter().any(|feature| feature == name);
        let (filters_plain_sql, sets_replication_role) = (has(FILTERS_PLAIN_SQL), has(SETS_REPLICATION_ROLE));
        Self {
            limits: limits(project.storage_limit_bytes, version),
            mode: ImportMode {
                filters_plain_sql,
                sets_replication_role,
                recreate,
                role: project.role_name.clone(),
                ..ImportMode::default()
            },
        }
    }

    /// The same with the tables of the project's database, unless the import replaces them.
    pub(super) async fn with_existing(
        mut self,
        api: &Api,
        project: &Project,
        existing: fn(Vec<(String, String)>) -> ExistingTables,
    ) -> Self {
        if !self.mode.recreate {
            // Only a check needs them: a key without the right to read rows can import, too.
            let found = api.query(&project.id, EXISTING_TABLES, MAX_TABLES).await;
            let rows = found.map(|result| result.rows).unwrap_or_default();
            let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
            let names = rows.iter().filter_map(|row| Some((text(row.first()?)?, text(row.get(1)?)?)));
            self.mode.existing = existing(names.collect());
        }
        self
    }

    /// A target known only from flags, with the import mode of the hosted service.
    pub(super) fn from_flags(version: Option<u32>, plan_limit: Option<u64>, recreate: bool) -> Self {
        let limits = limits(plan_limit.unwrap_or_default(), version.map(|major| major.to_string()));
        Self { limits, mode: ImportMode { recreate, ..ImportMode::default() } }
    }
}

/// Tables that the existing ones are compared with.
const MAX_TABLES: u32 = 10_000;

/// Tables and views of the application, which an import in place must not create again.
const EXISTING_TABLES: &str = "select n.nspname, c.relname
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')";

fn limits(storage_limit_bytes: u64, version: Option<String>) -> Limits {
    Limits {
        storage_limit_bytes,
        target_version: version.unwrap_or_else(|| TARGET_MAJOR.to_string()),
        extensions: ALLOWED_EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// Opens dumps, and joins several into one.
pub(super) async fn open(
    context: &Context<'_>,
    paths: &[PathBuf],
    options: &SourceOptions,
) -> Result<DumpFile, CliError> {
    let mut dumps = Vec::new();
    for path in paths {
        dumps.push(open_one(context, path).await?);
    }
    let dump = match dumps.pop() {
        Some(dump) if dumps.is_empty() => dump,
        last => joined(context, dumps.into_iter().chain(last).collect()).await?,
    };
    Ok(dump.with_source_encoding(options.source_encoding.clone()))
}

/// Opens a dump; `-` copies standard input into a private file first.
async fn open_one(context: &Context<'_>, path: &Path) -> Result<DumpFile, CliError> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(CliError::new(ErrorKind::Usage, "`-` reads a dump from standard input, which is a terminal")
                .hint("pg_dump -Fc \"$DATABASE_URL\" | capydb import -"));
        }
        let copy = spooled(context, None, || Ok(Box::new(io::stdin()))).await.map_err(spool_error)?;
        return Ok(detect::identify(copy, "standard input".into())?);
    }
    Ok(detect::open(path)?)
}

/// Joins several dumps of plain SQL into a private copy.
async fn joined(context: &Context<'_>, dumps: Vec<DumpFile>) -> Result<DumpFile, CliError> {
    let progress = ByteCounter::default();
    let meter = ByteProgress::start(context.output, Activity::Spooling, None, progress.clone());
    let joining = tokio::task::spawn_blocking(move || join::join(dumps, &progress));
    let dump = joining.await.map_err(anyhow::Error::from)?.map_err(join_error)?;
    meter.finish();
    let parts = dump.parts.iter().map(|part| format!("  {} from line {}", part.shown, part.line));
    context.output.note(&format!("Importing {} as one:\n{}", dump.shown, parts.collect::<Vec<_>>().join("\n")));
    Ok(dump)
}

/// Fails if dumps cannot be joined.
pub(super) fn check_joinable(dumps: &[DumpFile]) -> Result<(), CliError> {
    join::check_joinable(dumps).map_err(join_error)
}

fn join_error(error: JoinError) -> CliError {
    match error {
        JoinError::Spool(error) => spool_error(error),
        JoinError::Dump(error) => error.into(),
        JoinError::Twice(_) => CliError::new(ErrorKind::Usage, error.to_string()),
        JoinError::NotPlain(..) => CliError::new(ErrorKind::Conflict, error.to_string())
            .hint("convert an archive to plain SQL with: pg_restore -f app.sql app.dump"),
    }
}

/// Decompresses a `.gz` or `.zst` dump into a private copy; other dumps are returned unchanged.
pub(super) async fn unpacked(context: &Context<'_>, dump: DumpFile) -> Result<DumpFile, CliError> {
    let Some(outer_compression) = dump.outer_compression else { return Ok(dump) };
    let DumpFile { file, size, shown, origin, source_encoding, .. } = dump;
    // Compressed SQL grows to at least three times its size; the copy checks the disk as it fills.
    let copy = spooled(context, Some(size.saturating_mul(3)), move || outer_compression.decompress(file)).await;
    let copy = copy.map_err(|error| match error {
        SpoolError::Read(error) => DumpError::Compressed(shown.clone(), outer_compression.name(), error).into(),
        other => spool_error(other),
    })?;
    let mut dump = detect::identify(copy, shown)?.with_source_encoding(source_encoding);
    dump.origin = origin;
    Ok(dump)
}

type ByteSource = Box<dyn io::Read + Send>;

/// Copies a reader into a private file, with progress. `expected` is in bytes.
async fn spooled(
    context: &Context<'_>,
    expected: Option<u64>,
    source: impl FnOnce() -> io::Result<ByteSource> + Send + 'static,
) -> Result<File, SpoolError> {
    let progress = ByteCounter::default();
    let meter = ByteProgress::start(context.output, Activity::Spooling, None, progress.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let reader = source().map_err(SpoolError::Read)?;
        spool::copy(reader, expected.unwrap_or_default(), &progress)
    });
    let copy = copying.await.map_err(|error| SpoolError::Read(io::Error::other(error)))??;
    meter.finish();
    Ok(copy)
}

pub(super) fn spool_error(error: SpoolError) -> CliError {
    match error {
        SpoolError::NotEnoughSpace(folder, free, needed) => CliError::new(
            ErrorKind::Conflict,
            format!(
                "not enough disk space to copy the dump: {} has {} free, {} are needed",
                folder.display(),
                bytes(free),
                bytes(needed)
            ),
        )
        .hint("free some space, or set TMPDIR to a directory on a larger disk"),
        SpoolError::Read(error) => CliError::new(ErrorKind::Error, format!("cannot read the dump: {error}")),
        SpoolError::Write(error) => {
            CliError::new(ErrorKind::Conflict, format!("cannot copy the dump to {}: {error}", spool::dir().display()))
                .hint("free some space, or set TMPDIR to a directory on a larger disk")
        }
    }
}

/// Reads the contents of a dump, with progress.
pub(super) async fn inspect(context: &Context<'_>, dump: &DumpFile) -> Result<Contents, CliError> {
    let (format, size) = (dump.format.name(), bytes(dump.size));
    let packed = dump
        .outer_compression
        .map_or_else(String::new, |outer_compression| format!(" in {}", outer_compression.name()));
    context.output.note(&format!("Dump: {}, {format} format{packed}, {size}", dump.shown));
    let progress = ByteCounter::default();
    let meter = ByteProgress::start(context.output, Activity::Reading, Some(dump.size), progress.clone());
    let dump = dump.try_clone().map_err(anyhow::Error::from)?;
    let found = tokio::task::spawn_blocking(move || read(&dump, &progress)).await.map_err(anyhow::Error::from)??;
    meter.finish();
    Ok(found)
}

/// Fails if the dump itself is unusable, whatever the target.
pub(super) fn check_itself(
    context: &Context<'_>,
    dump: &DumpFile,
    found: &Contents,
    options: &ImportOptions,
) -> Result<(), CliError> {
    let limits = limits(0, None);
    let recreate = options.recreate;
    let mode = ImportMode { filters_plain_sql: true, sets_replication_role: true, recreate, ..ImportMode::default() };
    let report = grade_dump(dump, found, &limits, &mode);
    let itself = |check: &&Check| INTRINSIC.contains(&check.name.as_str());
    let sound = report.checks.iter().filter(itself).all(|check| check.status != CheckStatus::Fail);
    // Show the findings of all checks at once, so that they can be fixed in one go.
    if sound { Ok(()) } else { require_passed(context, &report) }
}

/// Checks that do not depend on the target.
const INTRINSIC: [&str; 5] =
    ["dump_complete", "dump_format_supported", "single_database", "no_psql_commands", "no_server_access"];

/// Grades a dump; a failed check is an error, warnings are shown.
pub(super) async fn check(
    context: &Context<'_>,
    api: &Api,
    dump: &DumpFile,
    found: &Contents,
    project: &Project,
    options: &ImportOptions,
) -> Result<(), CliError> {
    let target = Target::for_project(project, options.recreate);
    let target = target.with_existing(api, project, ExistingTables::Kept).await;
    let report = grade_dump(dump, found, &target.limits, &target.mode);
    require_passed(context, &report)?;
    let version = first_word(&found.server_version);
    let tool = first_word(&found.dump_version);
    let origin = if version.is_empty() { String::new() } else { format!(" of Postgres {version} by pg_dump {tool}") };
    let tables = match found.number("tables") {
        1 => "1 table".to_owned(),
        tables => format!("{tables} tables"),
    };
    context.output.note(&format!(
        "Preflight passed: dump{origin}, {tables}, {}, into project {}",
        bytes(found.size),
        label(project)
    ));
    Ok(())
}

/// Shows failed checks and warnings before an import; a failed check is an error.
pub(super) fn require_passed(context: &Context<'_>, report: &Preflight) -> Result<(), CliError> {
    if !report.ok {
        context.output.urgent(&report::problems(report));
        return Err(CliError::preflight_failed(report));
    }
    let problems = report::problems(report);
    if !problems.is_empty() {
        context.output.note(&problems);
    }
    Ok(())
}

fn first_word(text: &str) -> String {
    crate::util::format::printable(text.split(' ').next().unwrap_or_default(), 20)
}
