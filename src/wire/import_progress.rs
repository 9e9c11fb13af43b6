//! The `result` of a running and of a failed import.

use serde::{Deserialize, Serialize};

/// Progress of a running import: `result.progress` of the job. Unknown values are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportProgress {
    /// Current phase: `looking`, `dumping`, `preparing`, `loading`, `indexing` or `finishing`.
    pub phase: String,
    /// Bytes processed in this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<u64>,
    /// Total bytes of this phase; an estimate while dumping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Number of completely loaded tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables_done: Option<u64>,
    /// Number of tables with rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables_total: Option<u64>,
    /// Number of indexes built, including those of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes_done: Option<u64>,
    /// Number of indexes to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes_total: Option<u64>,
    /// Rows loaded so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// State of each table, if the tables are known and not too many.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableProgress>,
    /// Bytes per second since the start of the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Estimated seconds until the end of the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// Progress of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TableProgress {
    /// Schema-qualified name.
    pub name: String,
    /// State of the table: `waiting`, `loading` or `done`.
    pub state: String,
}

/// Impact of an error on the data: `class` of an [`ImportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No application data or objects would be missing (a comment, a privilege).
    Harmless,
    /// All rows would be imported, but an object that uses them would be missing (an index, a view).
    Degraded,
    /// Rows would be missing.
    DataLost,
    /// The import cannot continue: connection, disk, limits, invalid script.
    Fatal,
    /// A class that this version does not recognize.
    #[serde(other)]
    Unknown,
}

impl ErrorClass {
    /// A description of the impact.
    pub fn description(self) -> &'static str {
        match self {
            Self::Harmless => "no application data or objects are missing",
            Self::Degraded => "all rows are imported, but an object that uses them is missing",
            Self::DataLost => "rows are missing",
            Self::Fatal => "the import cannot continue",
            Self::Unknown => "unknown",
        }
    }
}

/// One error: an element of `result.errors` of a failed import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ImportError {
    /// Impact on the data if the object is skipped.
    pub class: ErrorClass,
    /// SQLSTATE (Postgres manual, "PostgreSQL Error Codes").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// The object, as printed by `pg_restore -l` or as kind and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Line in the plain dump, starting at 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Message of the server or program.
    pub message: String,
    /// Explanation of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How to fix the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Reason of a failure that clients distinguish: `result.code` of a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The job was cancelled by request.
    Cancelled,
    /// The dump committed some of its statements, so the target was changed.
    PartlyCommitted,
    /// A code that this version does not recognize.
    #[serde(other)]
    Unknown,
}

/// The `result` of a failed import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobFailure {
    /// Reason, present only for failures that clients distinguish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// The errors.
    #[serde(default, deserialize_with = "super::list")]
    pub errors: Vec<ImportError>,
    /// The progress up to the failure.
    pub progress: ImportProgress,
}
