//! Preflight reports and facts about sources.

use serde::{Deserialize, Serialize};

/// Status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// No action needed.
    Pass,
    /// The import can run, but the finding should be reviewed.
    Warn,
    /// The import would fail.
    Fail,
}

impl CheckStatus {
    /// The value in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One graded check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Check {
    /// Stable name of the check (`source_size_within_plan`).
    pub name: String,
    /// Status of the check.
    pub status: CheckStatus,
    /// The finding, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// First occurrences: lines, archive entries or objects. Not sent by the hosted service.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// How to fix the finding. Not sent by the hosted service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The graded report on a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// False if any check failed.
    pub ok: bool,
    /// Checks, in the order in which they ran.
    #[serde(default, deserialize_with = "super::list")]
    pub checks: Vec<Check>,
    /// Facts about the source.
    #[serde(default)]
    pub source: SourceFacts,
    /// Storage limit of the plan, in bytes.
    #[serde(default)]
    pub storage_limit_bytes: u64,
    /// Postgres major version of the target.
    #[serde(default)]
    pub target_version: String,
}

/// `POST …/imports/preflight`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PreflightAnswer {
    /// The report.
    pub preflight: Preflight,
}

/// Facts about a source database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SourceFacts {
    /// Version as reported by the server (`15.18 (Debian 15.18-0+deb12u1)`).
    #[serde(default)]
    pub server_version: String,
    /// Size of the database (`pg_database_size`), in bytes.
    #[serde(default)]
    pub database_size_bytes: u64,
    /// Installed extensions.
    #[serde(default, deserialize_with = "super::list")]
    pub extensions: Vec<Extension>,
    /// Schemas of the application.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub app_schemas: Vec<String>,
    /// Provider of the source, if recognized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Signals by which the provider was recognized.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_signals: Vec<String>,
    /// Schemas that belong to the provider's platform.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_schemas: Vec<String>,
    /// Foreign keys that reference tables in the provider's schemas.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_auth_fks: Vec<AuthForeignKey>,
    /// Tables whose row-level security policies call the provider's functions.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_auth_policy_tables: Vec<String>,
    /// Event triggers, which only a superuser can create.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub event_triggers: Vec<String>,
    /// Readiness of the source for logical replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// Facts about the dump; absent for a live source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<DumpFacts>,
}

/// Facts about a dump file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct DumpFacts {
    /// Dump format: `custom`, `tar`, `directory` or `plain`.
    pub format: String,
    /// Version of the archive format (`1.16`); absent for plain dumps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_version: Option<String>,
    /// Compression of the archive's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Compression of the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
    /// Version of the `pg_dump` that wrote the dump; empty if unknown.
    #[serde(default)]
    pub dump_version: String,
    /// Length of the file, in bytes.
    #[serde(default)]
    pub file_size_bytes: u64,
    /// Number of objects by kind (`tables`).
    #[serde(default)]
    pub objects: std::collections::BTreeMap<String, u64>,
    /// Number of rows; absent if the format does not record rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Number of tables with data.
    #[serde(default)]
    pub tables_with_data: u64,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Extension {
    /// Name of the extension.
    pub name: String,
    /// Installed version; empty if a dump does not record the version.
    #[serde(default)]
    pub version: String,
}

/// A foreign key that references a table in a provider's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AuthForeignKey {
    /// Name of the constraint.
    pub constraint: String,
    /// Referencing table of the application.
    pub source_table: String,
    /// Referenced table of the provider.
    pub target_table: String,
}

/// Readiness for logical replication.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Replication {
    /// True if there are no blockers.
    pub ready: bool,
    /// Value of `wal_level`.
    #[serde(default)]
    pub wal_level: String,
    /// Value of `max_replication_slots`.
    #[serde(default)]
    pub max_replication_slots: i64,
    /// Number of existing replication slots.
    #[serde(default)]
    pub used_replication_slots: i64,
    /// Value of `max_wal_senders`.
    #[serde(default)]
    pub max_wal_senders: i64,
    /// Whether the role has the `REPLICATION` attribute or is a superuser.
    #[serde(default)]
    pub role_can_replicate: bool,
    /// Reasons that prevent logical replication.
    #[serde(default, deserialize_with = "super::list")]
    pub blockers: Vec<String>,
}
