//! Extensions of a project and SQL queries.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An extension that is available to a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectExtension {
    /// Name of the extension.
    pub name: String,
    /// Description of the extension.
    #[serde(default)]
    pub description: String,
    /// Whether the extension is installed in the project.
    #[serde(default)]
    pub enabled: bool,
    /// Whether the extension is trusted, so that the project's role can create it.
    #[serde(default)]
    pub trusted: bool,
    /// Default version; absent if not available on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_version: Option<String>,
    /// Installed version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_version: Option<String>,
}

/// `GET …/extensions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectExtensionList {
    /// Extensions, sorted by name.
    #[serde(default, deserialize_with = "super::list")]
    pub extensions: Vec<ProjectExtension>,
}

/// `POST …/sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlRequest {
    /// The SQL statement; exactly one.
    pub query: String,
    /// Maximum number of rows to return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u32>,
    /// Run the statement in a read-only transaction, which is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The result of a statement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlResult {
    /// Column names.
    #[serde(default, deserialize_with = "super::list")]
    pub columns: Vec<String>,
    /// Rows, with values in column order. Integers, floats, booleans and JSON are JSON values; other
    /// types, including `numeric`, are strings in Postgres's text format.
    #[serde(default, deserialize_with = "super::list")]
    #[cfg_attr(feature = "server", schema(value_type = Vec<Vec<serde_json::Value>>))]
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// Number of rows returned or changed.
    pub row_count: u64,
    /// Execution time in milliseconds.
    pub duration_ms: u64,
    /// Whether more rows exist than were returned.
    #[serde(default)]
    pub truncated: bool,
}

/// The response to `POST …/sql`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlAnswer {
    /// The result of the statement.
    pub result: SqlResult,
}
