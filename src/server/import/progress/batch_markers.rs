//! What the worker puts between the statements of a script: by it the script's transactions are
//! checked, and psql tells how far it is.

use super::tracker::ProgressTracker;
use crate::server::crypto::random_hex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The marks of one script.
pub(crate) struct BatchMarkers {
    /// A setting that lasts as long as the transaction it was made in.
    batch: String,
    /// What psql's output repeats, and nobody else can know.
    marker_prefix: String,
    arrived: AtomicBool,
}

/// Something that psql comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// Rows of a table.
    Table,
    /// An index.
    Index,
    /// The end.
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

    /// Stands at the start of every transaction.
    pub(crate) fn begin(&self) -> String {
        format!("select pg_catalog.set_config('capydb.batch', '{}', true);", self.batch)
    }

    /// Stands at the end of every transaction. If it is not the one that began, the script has
    /// ended that one itself, in a disguise that nobody saw through.
    pub(crate) fn check(&self) -> String {
        format!(
            "do $capydb$begin if pg_catalog.current_setting('capydb.batch', true) is distinct from '{}' then \
             raise exception 'the dump ends its transaction before its own end'; end if; end$capydb$;",
            self.batch
        )
    }

    /// Between two transactions.
    pub(crate) fn next_batch(&self) -> String {
        format!("{}commit;begin;{}", self.check(), self.begin())
    }

    /// Has psql tell when it comes to something.
    pub(crate) fn marker(&self, what: Marker) -> String {
        format!("select '{} {}';", self.marker_prefix, what.word())
    }

    /// Takes a line of psql's output.
    pub(crate) fn observe_line(&self, line: &str, tracker: &ProgressTracker) {
        match line.strip_prefix(&self.marker_prefix).map(str::trim) {
            Some("table") => tracker.table_begins(),
            Some("index") => tracker.index_begins(),
            Some("end") => self.arrived.store(true, Ordering::Release),
            _ => {}
        }
    }

    /// Whether psql has run everything.
    pub(crate) fn reached_end(&self) -> bool {
        self.arrived.load(Ordering::Acquire)
    }
}
