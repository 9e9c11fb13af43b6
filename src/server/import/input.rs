//! Turns the source of an import into loadable input, after the checks of the preflight.

use super::error::source_catalog::NextRead;
use super::plan::Plan;
use super::progress::tracker::Phase;
use super::{Import, ImportFailure, ImportSource, dump_source, locks};
use crate::dump::archive::Compression;
use crate::dump::encoding::SourceEncoding;
use crate::dump::{DumpError, Format, detect, read};
use crate::preflight::{
    COLLATION, DEFINER_RIGHTS, ImportMode, Limits, ROW_SECURITY, TargetFacts, divide_settings, failure, grade_dump,
    grade_source, rows_left_out, settings_left_out,
};
use crate::source::risks::{DatabaseSetting, SourceRisks, inspect_fully};
use crate::source::{SourceUrl, connect};
use crate::util::byte_counter::ByteCounter;
use crate::wire::{Check, CheckStatus, LeftOut, Preflight};
use anyhow::Context;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A source that passed the checks.
enum ResolvedInput {
    Live(Box<Inspected>),
    Ready(Box<Input>),
}

/// A live source, and the address at which it was inspected.
struct Inspected {
    url: SourceUrl,
    address: IpAddr,
    /// Size of its database, in bytes.
    size: u64,
    source: LiveSource,
}

/// What an import keeps in mind of a live source, because its dump does not say so.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveSource {
    /// Options of `CREATE DATABASE` for a database that sorts text as the source does.
    pub(super) database_options: String,
    /// Settings of its database to carry over.
    pub(super) settings: Vec<DatabaseSetting>,
    /// What its dump leaves out.
    pub(super) left_out: Vec<LeftOut>,
    /// Warnings for the report.
    pub(super) warnings: Vec<Check>,
    /// Number of further connections that it allows.
    pub(super) free_connections: i64,
}

/// Warnings that concern how the target behaves, so that they belong into the report of an import.
const LASTING: [&str; 3] = [ROW_SECURITY, DEFINER_RIGHTS, COLLATION];

/// The warnings of a preflight for the report of an import.
fn lasting_warnings(report: &Preflight) -> Vec<Check> {
    let is_lasting = |check: &&Check| check.status == CheckStatus::Warn && LASTING.contains(&check.name.as_str());
    report.checks.iter().filter(is_lasting).cloned().collect()
}

/// Input that can be loaded.
#[derive(Clone)]
pub(super) struct Input {
    /// A custom archive, a directory archive, or plain SQL.
    pub(super) path: PathBuf,
    pub(super) kind: InputKind,
    /// Size of all its files, in bytes.
    pub(super) size: u64,
    /// Whether its rows are compressed.
    pub(super) compressed: bool,
    /// A search path for the load, as SQL for `set_config`, instead of the empty one that pg_dump sets.
    pub(super) search_path: Option<String>,
    /// The encoding of its text, whatever it declares.
    pub(super) encoding: Option<SourceEncoding>,
    pub(super) plan: Plan,
    /// Whether a dump has no objects and no rows.
    pub(super) is_empty: bool,
    /// What is known only of a live source.
    pub(super) source: LiveSource,
}

impl Input {
    /// The same input, loaded with a search path of all schemas of the dump.
    pub(super) fn with_search_path(&self) -> Self {
        let others = self.plan.schemas.iter().map(String::as_str).filter(|schema| *schema != "public");
        let schemas: Vec<String> = std::iter::once("public").chain(others).map(escape_identifier).collect();
        Self { search_path: Some(escape_literal(&schemas.join(", "))), ..self.clone() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputKind {
    Archive,
    Script,
}

/// Checks the source, and reads it into input that can be loaded. A live source that is interrupted while
/// it is read is read again, as often as its job has attempts.
pub(super) async fn read_source(import: &Import<'_>) -> Result<Input, ImportFailure> {
    let mut interruptions: Vec<String> = Vec::new();
    loop {
        // The first time, the source may not exist; after that, it may be restarting.
        let resolved = match inspect_source(import).await {
            Err(failure) if !interruptions.is_empty() && failure.is_transient() => Err((failure, NextRead::Again)),
            result => Ok(result?),
        };
        let failure = match resolved {
            Ok(resolved) => match materialize(import, resolved).await {
                Ok(input) => return Ok(with_interruptions(input, &interruptions)),
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        let (failure, next) = failure;
        let tries = interruptions.len() + 1;
        if next != NextRead::Again || tries >= usize::try_from(import.job.max_attempts).unwrap_or(1) {
            return Err(locks::explained(import, failure).await);
        }
        tracing::warn!("job {}: {failure}; reading the source again", import.job.id);
        interruptions.push(failure.to_string());
        tokio::time::sleep(PAUSE * 2u32.pow(u32::try_from(tries).unwrap_or(1))).await;
    }
}

/// Pause before the source is read again; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The input, with a note for the report if its source was read more than once.
fn with_interruptions(mut input: Input, interruptions: &[String]) -> Input {
    if !interruptions.is_empty() {
        let times = interruptions.len();
        input.source.warnings.push(Check {
            name: "source_interrupted".to_owned(),
            status: CheckStatus::Warn,
            detail: Some(format!("the source was interrupted {times} × and read again from the start")),
            evidence: interruptions.to_vec(),
            fix: None,
        });
    }
    input
}

/// Checks the source by the rules of the preflight, before anything is written.
async fn inspect_source(import: &Import<'_>) -> Result<ResolvedInput, ImportFailure> {
    match &import.source {
        ImportSource::Url(url) => {
            let session = connect::connect(url, import.allow_private_sources).await.map_err(|error| {
                if error.is_transient() {
                    ImportFailure::transient(error.to_string())
                } else {
                    ImportFailure::permanent(error.to_string())
                }
            })?;
            let (facts, risks) = inspect_fully(&session, url, import.allow_private_sources).await?;
            let size = facts.database_size_bytes;
            let target =
                import.server.facts(import.database, &risks, Some(import.recreate), import.allow_empty).await?;
            let report = grade_source(facts, &risks, &import.limits, &target);
            require_passed(&report)?;
            let address = session.address.context("the source has no IP address")?;
            let source = live_source(import, &risks, &target, &report).await?;
            Ok(ResolvedInput::Live(Box::new(Inspected { url: url.clone(), address, size, source })))
        }
        ImportSource::Upload { key, encoding } => {
            let copy = import.work.join("upload.dump");
            let upload = import.store.upload(key).await?;
            let upload = upload
                .ok_or_else(|| ImportFailure::permanent("the uploaded dump no longer exists; upload it again"))?;
            let path = import.objects.local(&upload, &copy, import.tools.run_as.as_ref()).await;
            let path = path.map_err(|error| ImportFailure::transient(format!("cannot read the dump: {error:#}")))?;
            let may_lose = import.recreate && !import.allow_empty;
            let replaces_tables = may_lose && import.server.measure(import.database).await?.tables > 0;
            let (limits, recreate, encoding) = (import.limits.clone(), import.recreate, encoding.clone());
            let size = std::fs::metadata(&path).map_or(0, |about| about.len());
            import.tracker.enter(Phase::Inspecting, Some(size));
            let progress = import.tracker.counter();
            let opening = tokio::task::spawn_blocking(move || {
                let input = open(&path, encoding, &limits, recreate, &progress)?;
                if replaces_tables && input.is_empty {
                    let why = "schema_and_data: the dump is empty, and would replace a target that has tables";
                    let fix = "check that you dumped the right database; to import an empty one: --allow-empty";
                    return Err(ImportFailure::preflight_failed(why, Some(fix.to_owned())));
                }
                Ok(input)
            });
            Ok(ResolvedInput::Ready(Box::new(opening.await.map_err(anyhow::Error::from)??)))
        }
    }
}

async fn live_source(
    import: &Import<'_>,
    risks: &SourceRisks,
    target: &TargetFacts,
    report: &Preflight,
) -> anyhow::Result<LiveSource> {
    let major = import.server.major;
    let sorts_differently = target.collation.as_ref().is_some_and(|own| !own.sorts_like(&risks.collation));
    let options = if import.recreate && sorts_differently {
        import.server.options_to_sort_like(&risks.collation).await?
    } else {
        None
    };
    let (settings, _) = divide_settings(risks, major);
    let left_out = [rows_left_out(risks), settings_left_out(risks, major, import.recreate)].concat();
    Ok(LiveSource {
        database_options: options.unwrap_or_default(),
        settings: settings.into_iter().cloned().collect(),
        left_out,
        warnings: lasting_warnings(report),
        free_connections: risks.free_connections,
    })
}

fn require_passed(report: &Preflight) -> Result<(), ImportFailure> {
    match failure(report) {
        Some(why) => {
            let failed = report.checks.iter().find(|check| check.status == CheckStatus::Fail);
            Err(ImportFailure::preflight_failed(&why, failed.and_then(|check| check.fix.clone())))
        }
        None => Ok(()),
    }
}

/// Dumps a live source. An uploaded dump needs no further step.
async fn materialize(import: &Import<'_>, resolved: ResolvedInput) -> Result<Input, (ImportFailure, NextRead)> {
    match resolved {
        ResolvedInput::Ready(input) => Ok(*input),
        ResolvedInput::Live(inspected) => {
            let Inspected { url, address, size, source } = *inspected;
            let free = source.free_connections;
            let dir = dump_source::dump_live_source(import, &url, address, size, free).await?;
            let opened = tokio::task::spawn_blocking(move || directory(dir)).await.map_err(anyhow::Error::from);
            let input = opened.map_err(ImportFailure::from).and_then(|input| input);
            input.map(|input| Input { source, ..input }).map_err(|failure| (failure, NextRead::Stop))
        }
    }
}

/// Reads a directory archive that our own `pg_dump` has just written.
fn directory(path: PathBuf) -> Result<Input, ImportFailure> {
    let toc = File::open(path.join("toc.dat")).map_err(anyhow::Error::from)?;
    let mut plan =
        Plan::of_archive(BufReader::with_capacity(128 << 10, toc), Vec::new(), None).map_err(anyhow::Error::from)?;
    // The definitions come from the source, which is untrusted.
    if let Some((entry, why)) = &plan.refusal {
        return Err(ImportFailure::permanent(format!("entry {entry} of the source's dump cannot be imported: {why}")));
    }
    plan.measure_directory(&path);
    let files = std::fs::read_dir(&path).map_err(anyhow::Error::from)?.flatten();
    let size = files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum();
    let source = LiveSource::default();
    let kind = InputKind::Archive;
    Ok(Input { path, kind, size, compressed: false, search_path: None, encoding: None, plan, is_empty: false, source })
}

/// Checks an uploaded dump. The client's own check before the upload cannot be trusted.
fn open(
    path: &Path,
    encoding: Option<SourceEncoding>,
    limits: &Limits,
    recreate: bool,
    progress: &ByteCounter,
) -> Result<Input, ImportFailure> {
    let explain = |problem: DumpError| ImportFailure::permanent(nameless(&problem, path));
    let dump = detect::open(path).map_err(explain)?.with_source_encoding(encoding.clone());
    if dump.outer_compression.is_some() {
        return Err(ImportFailure::permanent(
            "the dump file is compressed as a whole; decompress it and upload it again",
        ));
    }
    let found = read(&dump, progress).map_err(explain)?;
    if let Some((location, why)) = &found.refusal {
        return Err(ImportFailure::permanent(format!("{location} of the dump cannot be imported: {why}")));
    }
    let mode = ImportMode { filters_plain_sql: true, sets_replication_role: true, recreate, ..ImportMode::default() };
    let report = grade_dump(&dump, &found, limits, &mode);
    require_passed(&report)?;
    let source = LiveSource { warnings: lasting_warnings(&report), ..LiveSource::default() };
    let is_empty = found.is_empty();
    let compressed = found.compression.is_some_and(|compression| compression != Compression::None);
    let (kind, plan) = if dump.format == Format::Plain {
        (InputKind::Script, Plan::of_script(found))
    } else {
        let file = BufReader::with_capacity(128 << 10, dump.file);
        let used = found.missing_extensions().map(|(requested, _)| requested).collect();
        let mut plan = Plan::of_archive(file, used, encoding.as_ref()).map_err(anyhow::Error::from)?;
        plan.measure_custom(dump.size);
        (InputKind::Archive, plan)
    };
    Ok(Input {
        path: path.to_owned(),
        kind,
        size: dump.size,
        compressed,
        search_path: None,
        encoding,
        plan,
        is_empty,
        source,
    })
}

/// The problem, without the dump's path on this machine.
fn nameless(problem: &DumpError, path: &Path) -> String {
    problem.to_string().replace(&path.display().to_string(), "the dump")
}
