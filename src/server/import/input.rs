//! Turns the source of an import into loadable input, after the checks of the preflight.

use super::plan::Plan;
use super::progress::tracker::Phase;
use super::{Import, ImportFailure, ImportSource, dump_source};
use crate::dump::archive::Compression;
use crate::dump::encoding::SourceEncoding;
use crate::dump::{DumpError, Format, detect, read};
use crate::preflight::{ImportMode, Limits, failure, grade, grade_dump};
use crate::source::{SourceUrl, connect, inspect};
use crate::util::byte_counter::ByteCounter;
use crate::wire::Preflight;
use anyhow::Context;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A source that passed the checks.
pub(super) enum ResolvedInput {
    Live { url: SourceUrl, address: IpAddr, size: u64 },
    Ready(Input),
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

/// Checks the source by the rules of the preflight, before anything is written.
pub(super) async fn inspect_source(import: &Import<'_>) -> Result<ResolvedInput, ImportFailure> {
    match &import.source {
        ImportSource::Url(url) => {
            let session = connect::connect(url, import.allow_private_sources).await.map_err(|error| {
                if error.is_transient() {
                    ImportFailure::transient(error.to_string())
                } else {
                    ImportFailure::permanent(error.to_string())
                }
            })?;
            let facts = inspect::inspect(&session).await?;
            let size = facts.database_size_bytes;
            require_passed(&grade(facts, &import.limits))?;
            let address = session.address.context("the source has no IP address")?;
            Ok(ResolvedInput::Live { url: url.clone(), address, size })
        }
        ImportSource::Upload { key, encoding } => {
            let copy = import.work.join("upload.dump");
            let upload = import.store.upload(key).await?;
            let upload = upload
                .ok_or_else(|| ImportFailure::permanent("the uploaded dump no longer exists; upload it again"))?;
            let path = import.objects.local(&upload, &copy, import.tools.run_as.as_ref()).await;
            let path = path.map_err(|error| ImportFailure::transient(format!("cannot read the dump: {error:#}")))?;
            let (limits, recreate, encoding) = (import.limits.clone(), import.recreate, encoding.clone());
            let size = std::fs::metadata(&path).map_or(0, |about| about.len());
            import.tracker.enter(Phase::Inspecting, Some(size));
            let progress = import.tracker.counter();
            let opening = tokio::task::spawn_blocking(move || open(&path, encoding, &limits, recreate, &progress));
            Ok(ResolvedInput::Ready(opening.await.map_err(anyhow::Error::from)??))
        }
    }
}

fn require_passed(report: &Preflight) -> Result<(), ImportFailure> {
    match failure(report) {
        Some(why) => Err(ImportFailure::permanent(format!("the preflight failed: {why}"))),
        None => Ok(()),
    }
}

/// Dumps a live source. An uploaded dump needs no further step.
pub(super) async fn materialize(import: &Import<'_>, resolved: ResolvedInput) -> Result<Input, ImportFailure> {
    match resolved {
        ResolvedInput::Ready(input) => Ok(input),
        ResolvedInput::Live { url, address, size } => {
            let dir = dump_source::dump_live_source(import, &url, address, size).await?;
            tokio::task::spawn_blocking(move || directory(dir)).await.map_err(anyhow::Error::from)?
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
    Ok(Input { path, kind: InputKind::Archive, size, compressed: false, search_path: None, encoding: None, plan })
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
    require_passed(&grade_dump(
        &dump,
        &found,
        limits,
        &ImportMode { filters_plain_sql: true, sets_replication_role: true, recreate, ..ImportMode::default() },
    ))?;
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
    Ok(Input { path: path.to_owned(), kind, size: dump.size, compressed, search_path: None, encoding, plan })
}

/// The problem, without the dump's path on this machine.
fn nameless(problem: &DumpError, path: &Path) -> String {
    problem.to_string().replace(&path.display().to_string(), "the dump")
}
