//! Tracks the progress of an import. The running steps update it, and the worker's heartbeat stores it
//! with the job once a second.

use crate::wire::{ImportProgress, TableProgress};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What an import is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::server) enum Phase {
    /// Checking the source or the dump by the rules of the preflight.
    #[default]
    Inspecting,
    /// Copying the source into an archive.
    Dumping,
    /// Creating extensions, roles and the staging database.
    Preparing,
    /// Loading rows.
    Loading,
    /// Building indexes and checking constraints.
    Indexing,
    /// Checking the result, and making it visible.
    Finishing,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Inspecting => "looking",
            Self::Dumping => "dumping",
            Self::Preparing => "preparing",
            Self::Loading => "loading",
            Self::Indexing => "indexing",
            Self::Finishing => "finishing",
        }
    }
}

/// Estimated bytes of `COPY` text per byte of a compressed archive.
const TEXT_BYTES_PER_COMPRESSED_BYTE: u64 = 4;
/// How long a phase must have run before its rate and remaining time are estimated.
const MIN_ESTIMATE_TIME: Duration = Duration::from_secs(2);

/// Maximum number of tables reported individually, because the progress is stored every second.
const MAX_TABLES: usize = 60;

/// The progress of one attempt.
#[derive(Default)]
pub(in crate::server) struct ProgressTracker {
    state: Mutex<State>,
    /// Bytes of a script sent to psql. Updated for every piece, so without the lock.
    bytes_fed: Arc<AtomicU64>,
    /// Rows of a script sent to psql.
    rows_fed: AtomicU64,
}

/// The data of one table in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableData {
    /// Schema and name.
    pub(crate) name: String,
    /// Id of the archive entry.
    pub(crate) id: i32,
    /// Size in the archive, in bytes.
    pub(crate) size: u64,
}

#[derive(Default)]
struct State {
    phase: Phase,
    since: Option<Instant>,
    /// Total bytes of the phase, if known.
    bytes_total: Option<u64>,
    bytes_done: u64,
    tables: Vec<TableData>,
    compressed: bool,
    /// Whether `pg_restore` uses several connections. It then reports finished items, otherwise only
    /// the start of each.
    parallel: bool,
    tables_total: Option<u64>,
    finished: HashSet<i32>,
    begun: usize,
    indexes_total: Option<u64>,
    indexes_finished: u64,
    indexes_begun: u64,
    /// The largest number of bytes reported so far: estimates must not lower it.
    max_bytes: u64,
    /// Bytes of the running `COPY` commands, as reported by the server.
    copied: u64,
    rows: u64,
    /// Tables that are being loaded.
    copying: Vec<String>,
    /// Sum of the completed fractions of the indexes that are being built.
    indexes_part: f64,
}

impl ProgressTracker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // the state is valid even after a panic
    }

    /// Starts a phase, with its total number of bytes if known.
    pub(crate) fn enter(&self, phase: Phase, bytes_total: Option<u64>) {
        *self.state() = State { phase, since: Some(Instant::now()), bytes_total, ..State::default() };
        self.bytes_fed.store(0, Ordering::Relaxed);
        self.rows_fed.store(0, Ordering::Relaxed);
    }

    /// Sets what will be loaded, from an archive's table of contents.
    pub(crate) fn expect(&self, tables: &[TableData], compressed: bool, parallel: bool, indexes: u64) {
        let mut state = self.state();
        state.tables = tables.to_vec();
        (state.compressed, state.parallel) = (compressed, parallel);
        state.tables_total = Some(tables.len() as u64);
        state.indexes_total = Some(indexes);
        state.bytes_total = Some(tables.iter().map(|table| table.size).sum());
    }

    /// Sets the number of tables that a script loads.
    pub(crate) fn expect_script(&self, tables: u64) {
        self.state().tables_total = Some(tables);
    }

    pub(crate) fn set_bytes(&self, done: u64) {
        self.state().bytes_done = done;
    }

    pub(crate) fn feed(&self, bytes: usize, rows: usize) {
        self.bytes_fed.fetch_add(bytes as u64, Ordering::Relaxed);
        self.rows_fed.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Records the start of the next table, which completes the previous one.
    pub(crate) fn table_begins(&self) {
        let mut state = self.state();
        state.begun += 1;
        state.copied = 0;
    }

    pub(crate) fn table_is_done(&self, id: i32) {
        let mut state = self.state();
        state.finished.insert(id);
        if state.finished.len() == state.tables.len() {
            state.enter_indexing();
        }
    }

    pub(crate) fn index_is_done(&self) {
        self.state().indexes_finished += 1;
    }

    /// The counter of bytes read or sent, for the code that reads.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        self.bytes_fed.clone()
    }

    /// Records the start of the next index. Without parallelism, all rows are loaded by then.
    pub(crate) fn index_begins(&self) {
        let mut state = self.state();
        if !state.parallel {
            state.enter_indexing();
        }
        state.indexes_begun += 1;
        state.indexes_part = 0.0;
    }

    /// Records the server's report: bytes and tables of the running `COPY` commands, total rows, and the
    /// completed fractions of running index builds.
    pub(crate) fn seen(&self, copied: u64, copying: Vec<String>, rows: u64, indexes_part: f64) {
        let mut state = self.state();
        (state.copied, state.copying) = (copied, copying);
        state.rows = state.rows.max(rows); // the server counts a transaction's rows with a delay
        state.indexes_part = indexes_part;
    }

    /// The current progress, as stored with the job.
    pub(in crate::server) fn progress(&self) -> ImportProgress {
        let mut state = self.state();
        let (bytes_fed, rows_fed) = (self.bytes_fed.load(Ordering::Relaxed), self.rows_fed.load(Ordering::Relaxed));
        let took = state.since.map(|since| since.elapsed()).unwrap_or_default();
        let indexing = state.phase == Phase::Indexing;
        let total = state.bytes_total.unwrap_or(u64::MAX);
        state.max_bytes = state.max_bytes.max(state.loaded(bytes_fed).min(total));
        let bytes_done = Some(state.max_bytes).filter(|bytes| !indexing && (*bytes > 0 || state.bytes_total.is_some()));
        let part = if indexing { state.indexes_built() } else { part(bytes_done, state.bytes_total) };
        let left = part
            .filter(|part| *part > 0.0 && took > MIN_ESTIMATE_TIME)
            .map(|part| took.as_secs_f64() * (1.0 - part) / part);
        let rate = bytes_done.filter(|_| took > MIN_ESTIMATE_TIME).map(|done| whole(real(done) / took.as_secs_f64()));
        let loads = matches!(state.phase, Phase::Loading | Phase::Indexing);
        ImportProgress {
            phase: state.phase.word().to_owned(),
            bytes_done,
            bytes_total: state.bytes_total.filter(|_| !indexing),
            tables_done: state.tables_total.filter(|_| loads).map(|total| state.tables_done().min(total)),
            tables_total: state.tables_total.filter(|_| loads),
            indexes_done: state.indexes_total.filter(|_| loads).map(|total| state.indexes_done().min(total)),
            indexes_total: state.indexes_total.filter(|_| loads),
            tables: if state.phase == Phase::Loading { state.tables_states() } else { Vec::new() },
            rows: Some(state.rows.max(rows_fed)).filter(|rows| loads && *rows > 0),
            bytes_per_second: rate,
            seconds_left: left.map(whole),
        }
    }
}

impl State {
    fn enter_indexing(&mut self) {
        if self.phase == Phase::Loading {
            (self.phase, self.since) = (Phase::Indexing, Some(Instant::now()));
        }
    }

    fn indexes_done(&self) -> u64 {
        if self.parallel { self.indexes_finished } else { self.indexes_begun.saturating_sub(1) }
    }

    fn tables_done(&self) -> u64 {
        match self.phase {
            Phase::Indexing => self.tables_total.unwrap_or_default(),
            _ if self.parallel => self.finished.len() as u64,
            _ => self.begun.saturating_sub(1) as u64,
        }
    }

    /// The state of each table; empty if there are more than [`MAX_TABLES`].
    fn tables_states(&self) -> Vec<TableProgress> {
        if self.tables.len() > MAX_TABLES {
            return Vec::new();
        }
        let state = |(at, table): (usize, &TableData)| {
            let done = if self.parallel { self.finished.contains(&table.id) } else { at + 1 < self.begun };
            let loading = self.copying.contains(&table.name) || (!self.parallel && at + 1 == self.begun);
            let state = if done {
                "done"
            } else if loading {
                "loading"
            } else {
                "waiting"
            };
            TableProgress { name: table.name.clone(), state: state.to_owned() }
        };
        self.tables.iter().enumerate().map(state).collect()
    }

    /// Completed bytes of the phase.
    fn loaded(&self, bytes_fed: u64) -> u64 {
        if self.tables.is_empty() {
            return self.bytes_done.max(bytes_fed);
        }
        let copied = if self.compressed { self.copied / TEXT_BYTES_PER_COMPRESSED_BYTE } else { self.copied };
        if !self.parallel {
            let before = self.tables.iter().take(self.begun.saturating_sub(1)).map(|table| table.size).sum::<u64>();
            let running = self.tables.get(self.begun.saturating_sub(1)).map_or(0, |table| table.size);
            return before + copied.min(running);
        }
        self.tables.iter().filter(|table| self.finished.contains(&table.id)).map(|table| table.size).sum::<u64>()
            + copied
    }

    /// Completed fraction of all index builds, from 0 to 1.
    fn indexes_built(&self) -> Option<f64> {
        let total = self.indexes_total.filter(|total| *total > 0)?;
        Some(((real(self.indexes_done()) + self.indexes_part) / real(total)).min(1.0))
    }
}

fn part(done: Option<u64>, total: Option<u64>) -> Option<f64> {
    let total = total.filter(|total| *total > 0)?;
    Some(real(done?) / real(total))
}

#[expect(clippy::cast_precision_loss, reason = "only displayed")]
fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only displayed")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: i32, size: u64) -> TableData {
        TableData { name: format!("public.t{id}"), id, size }
    }

    #[test]
    fn a_serial_restore_counts_tables_in_order() {
        let tracker = ProgressTracker::default();
        tracker.enter(Phase::Loading, None);
        let tables = [table(7, 100), table(8, 300)];
        tracker.expect(&tables, false, false, 2);
        tracker.table_begins();
        tracker.seen(40, Vec::new(), 4, 0.0);
        let progress = tracker.progress();
        assert_eq!((progress.bytes_done, progress.bytes_total), (Some(40), Some(400)));
        assert_eq!((progress.tables_done, progress.tables_total, progress.rows), (Some(0), Some(2), Some(4)));
        tracker.table_begins();
        assert_eq!(tracker.progress().bytes_done, Some(100));
        tracker.index_begins();
        let progress = tracker.progress();
        assert_eq!((progress.phase.as_str(), progress.tables_done, progress.bytes_done), ("indexing", Some(2), None));
        assert_eq!((progress.indexes_done, progress.indexes_total), (Some(0), Some(2)));
    }

    #[test]
    fn a_parallel_restore_counts_tables_by_id() {
        let tracker = ProgressTracker::default();
        tracker.enter(Phase::Loading, None);
        tracker.expect(&[table(7, 100), table(8, 300)], true, true, 0);
        tracker.table_is_done(8);
        tracker.seen(40, vec!["public.t7".to_owned()], 9, 0.0);
        assert_eq!(tracker.progress().bytes_done, Some(310));
        let states: Vec<String> = tracker.progress().tables.iter().map(|table| table.state.clone()).collect();
        assert_eq!(states, ["loading", "done"]);
        assert_eq!(tracker.progress().tables_done, Some(1));
    }
}
