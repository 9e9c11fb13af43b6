//! Projects and their connection strings.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A project: one managed database. Sizes are in bytes, times in RFC 3339 format, timeouts in
/// Postgres notation (`30s`, `0` for none).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Project {
    /// Opaque id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Slug for URLs and commands.
    #[serde(default)]
    pub slug: String,
    /// The organization that owns the project.
    #[serde(default)]
    pub organization_id: String,
    /// Environment, such as `production` or `development`.
    #[serde(default)]
    pub environment: String,
    /// Plan of the project.
    #[serde(default)]
    pub plan: String,
    /// Region of the database.
    #[serde(default)]
    pub region: String,
    /// `ready` when the project can be used.
    #[serde(default)]
    pub state: String,
    /// Name of the database, the target of imports.
    #[serde(default)]
    pub database_name: String,
    /// The unprivileged role that owns the database.
    #[serde(default)]
    pub role_name: String,
    /// Public host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_host: Option<String>,
    /// Port for direct connections.
    #[serde(default)]
    pub direct_port: i32,
    /// Port for pooled connections.
    #[serde(default)]
    pub pooled_port: i32,
    /// Maximum number of connections.
    #[serde(default)]
    pub max_connections: i32,
    /// Storage limit of the plan, in bytes; 0 if unknown.
    #[serde(default)]
    pub storage_limit_bytes: u64,
    /// Size of the database, in bytes; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size_bytes: Option<u64>,
    /// Postgres major version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_version: Option<String>,
    /// Recommended `sslmode` for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<String>,
    /// Statement timeout, in the service's format.
    #[serde(default)]
    pub statement_timeout: serde_json::Value,
    /// Timeout of idle transactions, in the service's format.
    #[serde(default)]
    pub idle_transaction_timeout: serde_json::Value,
    /// Whether the database never sleeps.
    #[serde(default)]
    pub always_on: bool,
    /// Runtime status, such as `running` or `sleeping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_status: Option<String>,
    /// Last error message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Id of the newest job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_job_id: Option<String>,
    /// Import features beyond the API contract; empty for the hosted service.
    #[serde(default, deserialize_with = "super::list", skip_serializing_if = "Vec::is_empty")]
    pub import_features: Vec<String>,
    /// Creation time.
    #[serde(default)]
    pub created_at: String,
    /// Time of the last change.
    #[serde(default)]
    pub updated_at: String,
}

/// `GET /v1/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectList {
    /// All projects that the key can access.
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
    /// URL slug; derived from the name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Region of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Environment, such as `production` or `development`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Postgres major version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_version: Option<String>,
}

/// The response to `POST /v1/projects`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProjectCreated {
    /// The project, not ready yet.
    pub project: Project,
    /// The job that creates the project.
    pub job: super::Job,
}

/// Connection strings of a project's database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Connections {
    /// Direct connection string, including the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_url: Option<String>,
    /// Pooled connection string, including the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled_url: Option<String>,
    /// Role of the project.
    pub username: String,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("username", &self.username).finish_non_exhaustive()
    }
}

/// `POST /v1/projects/{id}/roles`. Only if the project's `import_features` contain `application_roles`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CreateRole {
    /// Name of the role in the source, or any other.
    pub name: String,
}

/// `GET /v1/projects/{id}/connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionsAnswer {
    /// The connection strings.
    pub connections: Connections,
}
