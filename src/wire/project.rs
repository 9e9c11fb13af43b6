use serde::{Deserialize, Serialize};
use std::fmt;

/// A project: one managed database. Sizes in bytes, times RFC 3339, timeouts as Postgres
/// writes them (`30s`, `0` for none).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Project {
    /// Opaque id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Name in URLs and commands.
    #[serde(default)]
    pub slug: String,
    /// The organization that owns it.
    #[serde(default)]
    pub organization_id: String,
    /// `production`, `development` and the like.
    #[serde(default)]
    pub environment: String,
    /// The plan that it is on.
    #[serde(default)]
    pub plan: String,
    /// Where it runs.
    #[serde(default)]
    pub region: String,
    /// `ready` when it can be used.
    #[serde(default)]
    pub state: String,
    /// The target database of an import.
    #[serde(default)]
    pub database_name: String,
    /// The unprivileged role that owns the database.
    #[serde(default)]
    pub role_name: String,
    /// Host for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_host: Option<String>,
    /// Port without pooling.
    #[serde(default)]
    pub direct_port: i32,
    /// Port with pooling.
    #[serde(default)]
    pub pooled_port: i32,
    /// Connections that the project may hold.
    #[serde(default)]
    pub max_connections: i32,
    /// The plan limit, in bytes; 0 when the service does not tell.
    #[serde(default)]
    pub storage_limit_bytes: u64,
    /// Size of the database, in bytes; only where one project is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size_bytes: Option<u64>,
    /// Major version of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_version: Option<String>,
    /// `sslmode` that clients should use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<String>,
    /// Longest statement; kept as it comes.
    #[serde(default)]
    pub statement_timeout: serde_json::Value,
    /// Longest idle transaction; kept as it comes.
    #[serde(default)]
    pub idle_transaction_timeout: serde_json::Value,
    /// Whether it never goes to sleep.
    #[serde(default)]
    pub always_on: bool,
    /// `running`, `sleeping` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_status: Option<String>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The newest job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_job_id: Option<String>,
    /// What this control plane does for imports beyond the contract; the hosted service sends none.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub import_features: Vec<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: String,
}

/// `GET /v1/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectList {
    /// All that the key may see.
    #[serde(default, deserialize_with = "super::list")]
    pub projects: Vec<Project>,
}

/// `GET /v1/projects/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectAnswer {
    /// The project.
    pub project: Project,
}

/// `POST /v1/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CreateProject {
    /// Display name.
    pub name: String,
    /// Name in URLs; made from the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Where it shall run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `production`, `development` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Major version wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_version: Option<String>,
}

/// The answer to `POST /v1/projects`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectCreated {
    /// The project, not ready yet.
    pub project: Project,
    /// The job that makes it.
    pub job: super::Job,
}

/// How to connect to a project's database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Connections {
    /// Without pooling, password included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_url: Option<String>,
    /// With pooling, password included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled_url: Option<String>,
    /// The project's role.
    pub username: String,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("username", &self.username).finish_non_exhaustive()
    }
}

/// `GET /v1/projects/{id}/connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionsAnswer {
    /// The connection strings.
    pub connections: Connections,
}
