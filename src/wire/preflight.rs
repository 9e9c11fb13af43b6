use serde::{Deserialize, Serialize};

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Nothing to do.
    Pass,
    /// The import can go on; look at it.
    Warn,
    /// The import would fail.
    Fail,
}

impl CheckStatus {
    /// The word of the API.
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
    /// Stable name (`source_size_within_plan`).
    pub name: String,
    /// The verdict.
    pub status: CheckStatus,
    /// The evidence, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The first places that show it: lines, archive entries, objects. The hosted service does
    /// not send it.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do about it. The hosted service does not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The graded report on a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Preflight {
    /// False when any check failed.
    pub ok: bool,
    /// In the order in which they were made.
    #[serde(default, deserialize_with = "super::list")]
    pub checks: Vec<Check>,
    /// What was read from the source.
    #[serde(default)]
    pub source: SourceFacts,
    /// The plan limit, in bytes.
    #[serde(default)]
    pub storage_limit_bytes: u64,
    /// Major version of the target.
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
    /// As the server says it (`15.18 (Debian 15.18-0+deb12u1)`).
    #[serde(default)]
    pub server_version: String,
    /// What `pg_database_size` says, in bytes.
    #[serde(default)]
    pub database_size_bytes: u64,
    /// Installed extensions.
    #[serde(default, deserialize_with = "super::list")]
    pub extensions: Vec<Extension>,
    /// Schemas that hold the application's objects.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub app_schemas: Vec<String>,
    /// The provider that runs the source, when its signs are clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What gave the provider away.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_signals: Vec<String>,
    /// Schemas that belong to the provider's platform.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_schemas: Vec<String>,
    /// Foreign keys that reach into the provider's schemas.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_auth_fks: Vec<AuthForeignKey>,
    /// Tables whose policies call the provider's functions.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub provider_auth_policy_tables: Vec<String>,
    /// Event triggers, which only a superuser can make.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub event_triggers: Vec<String>,
    /// Whether the source could be followed by logical replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// What is known of a dump; absent for a live source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<DumpFacts>,
}

/// Facts about a dump file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct DumpFacts {
    /// `custom`, `tar`, `directory` or `plain`.
    pub format: String,
    /// Version of the archive format (`1.16`); absent for plain dumps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_version: Option<String>,
    /// How an archive's data is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// How the file is compressed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
    /// Version of the `pg_dump` that wrote it; empty when it does not tell.
    #[serde(default)]
    pub dump_version: String,
    /// Length of the file, in bytes.
    #[serde(default)]
    pub file_size_bytes: u64,
    /// Objects by kind (`tables`).
    #[serde(default)]
    pub objects: std::collections::BTreeMap<String, u64>,
    /// Rows, where the format tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Tables that bring data.
    #[serde(default)]
    pub tables_with_data: u64,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The installed version; empty where a dump does not tell.
    #[serde(default)]
    pub version: String,
}

/// A foreign key that points into a provider's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AuthForeignKey {
    /// The constraint's name.
    pub constraint: String,
    /// The application's table.
    pub source_table: String,
    /// The provider's table.
    pub target_table: String,
}

/// Readiness for logical replication.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Replication {
    /// True when nothing is in the way.
    pub ready: bool,
    /// The setting `wal_level`.
    #[serde(default)]
    pub wal_level: String,
    /// The setting `max_replication_slots`.
    #[serde(default)]
    pub max_replication_slots: i64,
    /// Slots that exist.
    #[serde(default)]
    pub used_replication_slots: i64,
    /// The setting `max_wal_senders`.
    #[serde(default)]
    pub max_wal_senders: i64,
    /// Whether the role may replicate.
    #[serde(default)]
    pub role_can_replicate: bool,
    /// What is in the way, in phrases.
    #[serde(default, deserialize_with = "super::list")]
    pub blockers: Vec<String>,
}
