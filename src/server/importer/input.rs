//! From what was asked for to something that can be loaded, with the gate in between.

use super::plan::Plan;
use super::{Failure, Import, Source, fetch};
use crate::dump::detect::{self, DumpFile};
use crate::dump::sql::Unfinished;
use crate::dump::survey::survey;
use crate::dump::{DumpFormat, DumpProblem};
use crate::preflight::{failure, grade};
use crate::source::{SourceUrl, connect, inspect};
use crate::wire::SourceFacts;
use std::fs::File;
use std::io::{BufReader, Seek};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A source that passed the gate.
pub(super) enum Looked {
    Live { url: SourceUrl, address: IpAddr, size: u64 },
    Ready(Input),
}

/// Something that can be loaded.
pub(super) struct Input {
    /// A custom archive, a directory archive, or plain SQL.
    pub(super) path: PathBuf,
    pub(super) kind: InputKind,
    /// Length of all its files, in bytes.
    pub(super) size: u64,
    pub(super) plan: Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputKind {
    Archive,
    Script,
}

/// Looks at the source with the rules of the preflight, before anything is written.
pub(super) async fn look(import: &Import<'_>) -> Result<Looked, Failure> {
    match &import.source {
        Source::Url(url) => {
            let session = connect::connect(url, import.allow_private_sources).await.map_err(|error| {
                if error.is_transient() {
                    Failure::transient(error.to_string())
                } else {
                    Failure::permanent(error.to_string())
                }
            })?;
            let facts = inspect::inspect(&session).await?;
            let size = facts.database_size_bytes;
            gate(import, facts)?;
            Ok(Looked::Live { url: url.clone(), address: session.address, size })
        }
        Source::Dump(path) => {
            let path = path.clone();
            let input = tokio::task::spawn_blocking(move || open(&path)).await.map_err(anyhow::Error::from)??;
            gate(import, input.plan.facts(input.size))?;
            Ok(Looked::Ready(input))
        }
    }
}

fn gate(import: &Import<'_>, facts: SourceFacts) -> Result<(), Failure> {
    match failure(&grade(facts, &import.limits)) {
        Some(why) => Err(Failure::permanent(format!("the import cannot work: {why}"))),
        None => Ok(()),
    }
}

/// Dumps a live source; a dump is there already.
pub(super) async fn bring(import: &Import<'_>, looked: Looked) -> Result<Input, Failure> {
    match looked {
        Looked::Ready(input) => Ok(input),
        Looked::Live { url, address, size } => {
            let folder = fetch::fetch(import, &url, address, size).await?;
            tokio::task::spawn_blocking(move || directory(folder)).await.map_err(anyhow::Error::from)?
        }
    }
}

/// A directory archive that our own pg_dump has just written.
fn directory(path: PathBuf) -> Result<Input, Failure> {
    let toc = File::open(path.join("toc.dat")).map_err(anyhow::Error::from)?;
    let plan = Plan::of_archive(BufReader::with_capacity(128 << 10, toc)).map_err(anyhow::Error::from)?;
    let files = std::fs::read_dir(&path).map_err(anyhow::Error::from)?.flatten();
    let size = files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum();
    Ok(Input { path, kind: InputKind::Archive, size, plan })
}

/// An uploaded dump. It was looked at before it was sent, but not by us.
fn open(path: &Path) -> Result<Input, Failure> {
    let DumpFile { mut file, size, format, .. } = detect::open(path).map_err(|problem| explain(&problem, path))?;
    let (kind, plan) = match format {
        DumpFormat::Custom(_) => {
            let plan = Plan::of_archive(BufReader::with_capacity(128 << 10, file)).map_err(anyhow::Error::from)?;
            (InputKind::Archive, plan)
        }
        DumpFormat::Plain => {
            file.rewind().map_err(anyhow::Error::from)?;
            let found = survey(file).map_err(anyhow::Error::from)?;
            if let Some((line, why)) = &found.refusal {
                return Err(Failure::permanent(format!("line {line} of the dump cannot be imported: {why}")));
            }
            if let Some(unfinished) = found.unfinished {
                let place = match unfinished {
                    Unfinished::Rows => "in the middle of a table's rows",
                    Unfinished::Statement => "in the middle of a statement",
                };
                return Err(Failure::permanent(format!("the dump is cut off: it ends {place}")));
            }
            (InputKind::Script, Plan::of_script(found))
        }
    };
    Ok(Input { path: path.to_owned(), kind, size, plan })
}

/// The problem without the name that the object has on this machine.
fn explain(problem: &DumpProblem, path: &Path) -> Failure {
    Failure::permanent(problem.to_string().replace(&path.display().to_string(), "the dump"))
}
