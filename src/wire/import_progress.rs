//! What the `result` of an import says before it is over, and after it went wrong.

use serde::{Deserialize, Serialize};

/// How far a running import is: `result.progress` of its job. What is not known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportProgress {
    /// `looking`, `dumping`, `preparing`, `loading`, `indexing` or `finishing`.
    pub phase: String,
    /// Bytes of this phase that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<u64>,
    /// Bytes of this phase in all; while dumping an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Tables of which all rows are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables_done: Option<u64>,
    /// Tables that bring rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables_total: Option<u64>,
    /// Indexes that are built, those of keys among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes_done: Option<u64>,
    /// Indexes to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes_total: Option<u64>,
    /// Rows that were loaded so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The tables and how far each is, where they are known and not too many.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableProgress>,
    /// Bytes a second since the phase began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Seconds until the phase is over, if it goes on like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// How far one table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TableProgress {
    /// Schema and name.
    pub name: String,
    /// `waiting`, `loading` or `done`.
    pub state: String,
}

/// What an error means for the data: `class` of an [`ImportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Nothing of the application's would be missing (a comment, a privilege).
    Harmless,
    /// The rows would be there, and something that works on them would not (an index, a view).
    Degraded,
    /// Rows would be missing.
    DataLost,
    /// The work could not go on at all: connection, disk, limits, a script that cannot be read.
    Fatal,
    /// A class that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorClass {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Harmless => "nothing of the application's would be missing",
            Self::Degraded => "the rows would be there, and what works on them would not",
            Self::DataLost => "rows would be missing",
            Self::Fatal => "the import cannot go on",
            Self::Unknown => "not known",
        }
    }
}

/// One thing that went wrong: `result.errors` of a failed import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportError {
    /// What it would mean to go on without the object.
    pub class: ErrorClass,
    /// Postgres's code for the error (Postgres, "Error Codes").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// The object: as `pg_restore -l` writes it, or its kind and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The line of the plain dump, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What the server or the program said.
    pub message: String,
    /// Why, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Why an import failed, where a client decides on it: `result.code` of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The job was cancelled by request.
    Cancelled,
    /// The dump committed some of its statements itself: the target was changed.
    PartlyCommitted,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The `result` of a failed import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobFailure {
    /// Why, where a client decides on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// What went wrong.
    #[serde(default, deserialize_with = "super::list")]
    pub errors: Vec<ImportError>,
    /// The progress up to the failure.
    pub progress: ImportProgress,
}
