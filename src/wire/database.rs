use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An extension that a project can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectExtension {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// Whether the project has it.
    #[serde(default)]
    pub enabled: bool,
    /// Whether the project's own role could create it.
    #[serde(default)]
    pub trusted: bool,
    /// The version that would be created; absent where the server does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_version: Option<String>,
    /// The version that the project has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_version: Option<String>,
}

/// `GET …/extensions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectExtensionList {
    /// By name.
    #[serde(default, deserialize_with = "super::list")]
    pub extensions: Vec<ProjectExtension>,
}

/// `POST …/sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlRequest {
    /// One statement.
    pub query: String,
    /// Rows that come back at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u32>,
    /// Run it in a transaction that cannot write, and take that back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The rows of a statement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlResult {
    /// Names of the columns.
    #[serde(default, deserialize_with = "super::list")]
    pub columns: Vec<String>,
    /// Values in the order of the columns: integers, floats, booleans and JSON as such, all else
    /// (`numeric`, too) as the text that Postgres writes.
    #[serde(default, deserialize_with = "super::list")]
    #[cfg_attr(feature = "server", schema(value_type = Vec<Vec<serde_json::Value>>))]
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// Rows that the statement gave or changed.
    pub row_count: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether there were more rows than came back.
    #[serde(default)]
    pub truncated: bool,
}

/// The answer to `POST …/sql`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SqlAnswer {
    /// What the statement gave.
    pub result: SqlResult,
}
