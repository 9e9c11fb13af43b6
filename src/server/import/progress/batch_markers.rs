//! Markers that the worker inserts between the statements of a script, to check the script's
//! transactions and to follow psql's progress.

use super::tracker::ProgressTracker;
use crate::server::crypto::random_hex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The markers of one script.
pub(crate) struct BatchMarkers {
    /// Value of a setting that lasts until the end of the transaction.
    batch: String,
    /// Random prefix of the markers in psql's output, which the script cannot know.
    marker_prefix: String,
    arrived: AtomicBool,
}

/// A position that psql reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// The rows of a table.
    Table,
    /// An index.
    Index,
    /// The end of the script.
    End,
}

impl Marker {
    fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::End => "end",
        }
    }
}

impl BatchMarkers {
    pub(crate) fn new() -> Self {
        Self { batch: random_hex(8), marker_prefix: random_hex(8), arrived: AtomicBool::new(false) }
    }

    /// SQL for the start of every transaction.
    pub(crate) fn begin(&self) -> String {
        format!("select pg_catalog.set_config('capydb.batch', '{}', true);", self.batch)
    }

    /// SQL for the end of every transaction. Fails if the script has ended the transaction with a
    /// statement that the filter did not recognize.
    pub(crate) fn check(&self) -> String {
        format!(
            "do $capydb$begin if pg_catalog.current_setting('capydb.batch', true) is distinct from '{}' then \
             raise exception 'the dump ends the import transaction early'; end if; end$capydb$;",
            self.batch
        )
    }

    /// SQL between two transactions.
    pub(crate) fn next_batch(&self) -> String {
        format!("{}commit;begin;{}", self.check(), self.begin())
    }

    /// SQL that makes psql print a marker.
    pub(crate) fn marker(&self, what: Marker) -> String {
        format!("select '{} {}';", self.marker_prefix, what.word())
    }

    /// Records the marker in a line of psql's output, if it has one.
    pub(crate) fn observe_line(&self, line: &str, tracker: &ProgressTracker) {
        match line.strip_prefix(&self.marker_prefix).map(str::trim) {
            Some("table") => tracker.table_begins(),
            Some("index") => tracker.index_begins(),
            Some("end") => self.arrived.store(true, Ordering::Release),
            _ => {}
        }
    }

    /// Whether psql has run the whole script.
    pub(crate) fn reached_end(&self) -> bool {
        self.arrived.load(Ordering::Acquire)
    }
}
