//! Sends a script to psql through the SQL filter, divided into transactions.

use super::foreign_keys::CHECK_FOREIGN_KEYS;
use super::own_transactions::OwnTransaction;
use super::plan::ScriptPlan;
use super::progress::batch_markers::{BatchMarkers, Marker};
use super::progress::tracker::ProgressTracker;
use crate::dump::encoding::SourceEncoding;
use crate::dump::psql_commands::{INSIDE_STATEMENT, PsqlCommands};
use crate::dump::rewrite::{
    creates_identity, with_identity_values, with_if_exists, without_authorization, without_concurrently,
    without_tablespace,
};
use crate::dump::scan::ZERO_BYTES;
use crate::dump::sql::{Piece, PieceKind, Script};
use crate::dump::statement::client_encoding;
use crate::dump::statement::{belongs_to_clean, builds_index, created_publication, first_word};
use crate::dump::treatment::{Treatment, treat};
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::io::{self, BufWriter, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a script is divided into transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batches {
    /// The whole script in one transaction.
    One,
    /// A commit after every this many statements.
    Of(usize),
}

/// Why a script did not reach psql completely.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// It contains something that cannot be imported.
    #[error("{0}")]
    Refused(String),
    /// The dump cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// psql no longer reads its input.
    #[error("{0}")]
    Pipe(#[from] io::Error),
}

/// How pg_dump keeps names from being found by accident (since the fix of CVE-2018-1058).
const EMPTY_SEARCH_PATH: &[u8] = b"SELECT pg_catalog.set_config('search_path', '', false);";

/// How a script is filtered.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Schemas that exist before the script runs: it must not create or drop them.
    pub(super) made_schemas: Vec<String>,
    /// Schemas that the target has: the script must not create them unless it drops them first.
    pub(super) existing_schemas: Vec<String>,
    /// The database is new: nothing in it can be dropped before the script has created something.
    pub(super) is_new: bool,
    /// A search path instead of the empty one that pg_dump sets, as SQL for `set_config`.
    pub(super) search_path: Option<String>,
    /// The encoding of its text: what it declares is skipped.
    pub(super) encoding: Option<SourceEncoding>,
    pub(super) script: ScriptPlan,
}

/// Sends SQL to psql, without the statements that an import skips. Their line ends are kept, so that
/// the line numbers in psql's messages are those of the dump.
pub(super) fn feed(
    dump: impl Read + Send + 'static,
    psql: impl Write,
    filter: &Filter,
    batches: Batches,
    observer: &ScriptObserver,
) -> Result<(), FeedError> {
    let mut out = BufWriter::with_capacity(256 << 10, psql);
    let markers = &observer.markers;
    out.write_all(markers.begin().as_bytes())?;
    let mut script = Script::new(dump).with_encoding(filter.encoding.as_ref());
    let mut state = BatchState::default();
    while let Some(piece) = script.next_piece().map_err(FeedError::Read)? {
        if piece.has_zero() {
            return Err(refused(piece.line(), ZERO_BYTES));
        }
        observer.observe(&piece);
        let step = match piece.kind {
            PieceKind::CommandInside => return Err(refused(piece.line(), INSIDE_STATEMENT)),
            PieceKind::Command => match state.commands.refusal(piece.bytes, filter.script.creates_database) {
                Some(why) => return Err(refused(piece.line(), &why)),
                None => Step::skip(),
            },
            PieceKind::Ignored => Step::skip(),
            PieceKind::StatementPart if state.leaving_out => Step::skip(),
            PieceKind::Between | PieceKind::Rows | PieceKind::StatementPart => Step::run(piece.bytes),
            PieceKind::Inserts(count) => state.inserts(&piece, count, batches, markers)?,
            PieceKind::Statement | PieceKind::StatementStart => state.statement(&piece, filter, batches, markers)?,
        };
        out.write_all(step.before.as_bytes())?;
        if let Some(sql) = step.sql {
            out.write_all(&sql)?;
        } else {
            let ends = memchr::memchr_iter(b'\n', piece.bytes).count();
            out.write_all(&vec![b'\n'; ends])?;
        }
    }
    if script.unfinished().is_some() {
        return Err(FeedError::Refused("the dump is truncated".into()));
    }
    observer.last_line.store(script.line(), Ordering::Relaxed);
    if filter.script.sets_replication_role {
        out.write_all(CHECK_FOREIGN_KEYS.as_bytes())?;
    }
    for statement in state.at_end {
        out.write_all(b"\n")?;
        out.write_all(&statement)?;
    }
    out.flush()?;
    Ok(())
}

/// What psql gets instead of a piece.
struct Step<'a> {
    /// SQL to run first, without line ends.
    before: String,
    /// The piece as it runs; `None` if it is skipped.
    sql: Option<Cow<'a, [u8]>>,
}

impl<'a> Step<'a> {
    fn skip() -> Self {
        Self { before: String::new(), sql: None }
    }

    fn run(sql: &'a [u8]) -> Self {
        Self { before: String::new(), sql: Some(Cow::Borrowed(sql)) }
    }
}

/// Number of headings that are kept: psql lags behind by no more than the pipe and its buffer.
const HEADINGS: usize = 4096;

/// Observes a script while it is sent: its progress, and the objects by line.
#[derive(Clone)]
pub(super) struct ScriptObserver {
    pub(super) tracker: Arc<ProgressTracker>,
    pub(super) markers: Arc<BatchMarkers>,
    headings: Arc<Mutex<VecDeque<(u64, String)>>>,
    /// The last line of the script; 0 until it is sent.
    last_line: Arc<AtomicU64>,
}

impl ScriptObserver {
    pub(super) fn of(tracker: Arc<ProgressTracker>) -> Self {
        Self { tracker, markers: Arc::new(BatchMarkers::new()), headings: Arc::default(), last_line: Arc::default() }
    }

    fn observe(&self, piece: &Piece<'_>) {
        let rows = match piece.kind {
            PieceKind::Rows => {
                let lines = memchr::memchr_iter(b'\n', piece.bytes).count();
                let ends = piece.bytes.ends_with(b"\\.\n") || piece.bytes.ends_with(b"\\.\r\n");
                lines - usize::from(ends)
            }
            _ => 0,
        };
        self.tracker.feed(piece.bytes.len(), rows);
        if piece.kind == PieceKind::Between {
            self.record(piece);
        }
    }

    /// Remembers the heading that pg_dump writes above every object: `-- Name: t; Type: TABLE; …`.
    fn record(&self, piece: &Piece<'_>) {
        let Some(at) = memchr::memmem::find(piece.bytes, b"Name: ") else { return };
        let heading = piece.bytes[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let heading = String::from_utf8_lossy(&heading[..heading.len().min(300)]).into_owned();
        let mut headings = self.headings.lock().unwrap_or_else(PoisonError::into_inner);
        if headings.len() == HEADINGS {
            headings.pop_front();
        }
        // The piece may begin on the line on which the previous statement ends.
        let lines = memchr::memchr_iter(b'\n', &piece.bytes[..at]).count() as u64;
        headings.push_back((piece.line() + lines, heading));
    }

    /// Whether a line follows the script: it belongs to the import's own checks.
    pub(super) fn is_after_script(&self, line: u64) -> bool {
        let last = self.last_line.load(Ordering::Relaxed);
        last > 0 && line > last
    }

    /// The last heading above a line.
    pub(super) fn heading(&self, line: u64) -> Option<String> {
        let headings = self.headings.lock().unwrap_or_else(PoisonError::into_inner);
        headings.iter().rev().find(|(begins, _)| *begins <= line).map(|(_, heading)| heading.clone())
    }
}

/// The state of a script's statements and transactions.
#[derive(Default)]
struct BatchState {
    /// The current statement is skipped.
    leaving_out: bool,
    own_transaction: OwnTransaction,
    /// Statements since the last commit.
    statements: usize,
    /// The publications that it has created.
    publications: HashSet<String>,
    /// The schemas that it has dropped.
    dropped_schemas: Vec<String>,
    /// The psql commands so far.
    commands: PsqlCommands,
    /// The script has created something.
    has_created: bool,
    /// A script that is not from pg_dump has created `GENERATED ALWAYS` columns, whose values its `INSERT`s may
    /// set.
    has_identities: bool,
    /// Statements to run after the script.
    at_end: Vec<Vec<u8>>,
}

impl BatchState {
    /// Whether to commit before the next statements. The script's own transactions stay in one batch:
    /// large objects are written through descriptors that end with the transaction.
    fn is_batch_full(&mut self, batches: Batches, next: usize) -> bool {
        let ends = matches!(batches, Batches::Of(most) if self.statements >= most) && !self.own_transaction.is_open;
        self.statements = if ends { next } else { self.statements.saturating_add(next) };
        ends
    }

    fn inserts<'a>(
        &mut self,
        piece: &Piece<'a>,
        count: u64,
        batches: Batches,
        markers: &BatchMarkers,
    ) -> Result<Step<'a>, FeedError> {
        if self.commands.used_variable(piece.bytes).is_some() {
            return Err(refused(piece.line(), USED_VARIABLE));
        }
        let is_full = self.is_batch_full(batches, usize::try_from(count).unwrap_or(usize::MAX));
        let before = if is_full { markers.next_batch() } else { String::new() };
        let sql = if self.has_identities {
            Cow::Owned(with_identity_values(piece.bytes))
        } else {
            Cow::Borrowed(piece.bytes)
        };
        Ok(Step { before, sql: Some(sql) })
    }

    fn statement<'a>(
        &mut self,
        piece: &Piece<'a>,
        filter: &Filter,
        batches: Batches,
        markers: &BatchMarkers,
    ) -> Result<Step<'a>, FeedError> {
        let text = piece.statement();
        if self.commands.used_variable(&text).is_some() {
            return Err(refused(piece.line(), USED_VARIABLE));
        }
        let mut before = if self.is_batch_full(batches, 1) { markers.next_batch() } else { String::new() };
        let treatment = match treat(&text) {
            // In the order of pg_dump, all rows exist when it comes; in that of people, it has its place.
            Treatment::ForceRowSecurity if filter.script.handwritten => Treatment::Run,
            treatment => treatment,
        };
        let mut sql = self.change(piece, &text, &treatment, filter);
        match &treatment {
            // It also resets the marker of the batch.
            Treatment::ResetAll => sql = Cow::Owned(format!("RESET ALL;{}", markers.begin()).into()),
            Treatment::ForceRowSecurity => self.at_end.push(piece.bytes.to_vec()),
            Treatment::Commit => before.push_str(&self.own_transaction.commit()),
            Treatment::CopyRows => before.push_str(&markers.marker(Marker::Table)),
            Treatment::Run if builds_index(&text) => before.push_str(&markers.marker(Marker::Index)),
            _ => {}
        }
        let run = self.accept(&treatment, &text, filter).map_err(|why| refused(piece.line(), why))?;
        if run {
            before.extend(self.own_transaction.observe(&treatment, &text));
        }
        Ok(Step { before, sql: run.then_some(sql) })
    }

    /// The statement as it runs.
    fn change<'a>(&self, piece: &Piece<'a>, text: &[u8], treatment: &Treatment, filter: &Filter) -> Cow<'a, [u8]> {
        let path = filter.search_path.as_ref().filter(|_| text.trim_ascii() == EMPTY_SEARCH_PATH);
        if let Some(path) = path {
            return Cow::Owned(format!("SELECT pg_catalog.set_config('search_path', {path}, false);").into());
        }
        match treatment {
            Treatment::RunWithoutConcurrently => Cow::Owned(without_concurrently(piece.bytes)),
            Treatment::Drop | Treatment::DropSchema(_) if filter.is_new => Cow::Owned(with_if_exists(piece.bytes)),
            Treatment::CreateSchema(_) => Cow::Owned(without_authorization(piece.bytes)),
            Treatment::Run if self.has_identities && first_word(text).eq_ignore_ascii_case(b"insert") => {
                Cow::Owned(with_identity_values(piece.bytes))
            }
            Treatment::Run
                if piece.kind == PieceKind::Statement && first_word(text).eq_ignore_ascii_case(b"create") =>
            {
                without_tablespace(piece.bytes).map_or(Cow::Borrowed(piece.bytes), Cow::Owned)
            }
            _ => Cow::Borrowed(piece.bytes),
        }
    }

    /// Whether to run a statement. An error is the reason to reject the whole script.
    fn accept(&mut self, treatment: &Treatment, text: &[u8], filter: &Filter) -> Result<bool, &'static str> {
        let run = match treatment {
            Treatment::Run if filter.is_new && !self.has_created && belongs_to_clean(text) => false,
            Treatment::Run if filter.encoding.is_some() => client_encoding(text).is_none(),
            Treatment::Run
            | Treatment::RunWithoutConcurrently
            | Treatment::CreatePolicy(_)
            | Treatment::CopyRows
            | Treatment::ResetAll => true,
            Treatment::ReplicationRole if filter.script.sets_replication_role => true,
            Treatment::ReplicationRole => return Err("session_replication_role cannot be set here"),
            Treatment::CreateSchema(name) => {
                let exists = filter.existing_schemas.contains(name) && !self.dropped_schemas.contains(name);
                name != "public" && !filter.made_schemas.contains(name) && !exists
            }
            Treatment::DropSchema(name) => {
                self.dropped_schemas.push(name.clone());
                name != "public" && !filter.made_schemas.contains(name)
            }
            Treatment::AlterPublication(name) => self.publications.contains(name),
            Treatment::Drop => true,
            // Without a transaction, it would only cause a warning.
            Treatment::SetLocal(_) => self.own_transaction.is_open,
            Treatment::CreateExtension(_)
            | Treatment::Database
            | Treatment::ForceRowSecurity
            | Treatment::Role
            | Treatment::Skip
            | Treatment::SkipAndReport(..) => false,
            Treatment::Begin => {
                self.own_transaction.is_open = true;
                false
            }
            Treatment::Commit => false,
            Treatment::Refuse(refusal) => return Err(refusal.reason),
        };
        self.has_created |= run && first_word(text).eq_ignore_ascii_case(b"create");
        self.has_identities |= run && filter.script.handwritten && creates_identity(text);
        if run {
            self.publications.extend(created_publication(text));
        }
        self.leaving_out = !run;
        Ok(run)
    }
}

/// Reason to refuse a statement in which psql would replace a variable.
const USED_VARIABLE: &str = "the statement uses a psql variable";

fn refused(line: u64, why: &str) -> FeedError {
    FeedError::Refused(format!("line {line} of the dump cannot be imported: {why}"))
}
