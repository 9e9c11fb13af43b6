//! State shared by the API, the workers and the outbound senders of a process.

use super::crypto::{self, SecretBox, Signer};
use super::metadata::{NewProject, ProjectRow, Store};
use super::metrics::Metrics;
use super::objects::Objects;
use super::outbound::integrations::ProviderApis;
use super::target::{ApplicationRole, MAX_CONNECTIONS, TargetServer};
use super::wakeups::Wakeups;
use crate::preflight::{
    APPLICATION_ROLES, CHECKS_TARGET, FILTERS_PLAIN_SQL, Limits, SETS_REPLICATION_ROLE, SOURCE_CA, SOURCE_ENCODING,
};
use crate::wire::{Connections, Job, Project};
use std::sync::Arc;

/// The state of a process, without HTTP: state that only the API needs is in `api::ApiState`.
pub(super) struct Core {
    pub(super) store: Store,
    pub(super) objects: Objects,
    pub(super) secret_box: SecretBox,
    /// Whether sources in private networks are allowed.
    pub(super) allow_private_sources: bool,
    /// The plan limit of new projects, in bytes.
    pub(super) plan_limit: u64,
    /// The server of the projects' databases.
    pub(super) target: Arc<TargetServer>,
    /// Whether this is `capydb dev`: everything runs on the caller's machine.
    pub(super) is_local: bool,
    /// HTTP client for webhook endpoints.
    pub(super) webhook_client: reqwest::Client,
    /// Deployment platforms that connection strings are pushed to.
    pub(super) providers: ProviderApis,
    pub(super) metrics: Metrics,
    pub(super) wakeups: Wakeups,
}

/// Identifies one of several control planes that share a target server: the prefix of its seal check,
/// which begins with a random nonce.
pub(super) fn instance_id(sealed: &[u8]) -> String {
    crypto::hex(&sealed[..sealed.len().min(8)])
}

impl Core {
    /// Stores a new project and queues the job that creates its database. Returns the project's id and
    /// the job, or `None` if the slug is taken.
    pub(super) async fn create_project(
        &self,
        organization_id: &str,
        name: &str,
        slug: &str,
        environment: &str,
    ) -> anyhow::Result<Option<(String, Job)>> {
        // A self-hosted control plane has one region and one plan; the hosted service has more.
        let (region, plan) = if self.is_local { ("local", "dev") } else { ("self-hosted", "server") };
        let new = NewProject {
            organization_id,
            name,
            slug,
            environment,
            region,
            plan,
            storage_limit_bytes: self.plan_limit,
            role_password: &self.secret_box.seal(&crypto::random_hex(24))?,
        };
        let created = self.store.create_project(&new).await?;
        self.wakeups.wake_workers();
        Ok(created)
    }

    /// The limits that the preflight grades a source against.
    pub(super) fn limits(&self, project: &Project) -> Limits {
        Limits {
            storage_limit_bytes: project.storage_limit_bytes,
            target_version: self.target.major.to_string(),
            extensions: self.target.extensions.clone(),
        }
    }

    /// The project as the API returns it, with the fields that depend on the running control plane.
    pub(super) fn project_view(&self, row: &ProjectRow) -> Project {
        let endpoint = &self.target.endpoint;
        Project {
            public_host: Some(endpoint.host().to_owned()),
            direct_port: endpoint.port().into(),
            pooled_port: endpoint.port().into(),
            max_connections: MAX_CONNECTIONS,
            postgres_version: Some(self.target.major.to_string()),
            import_features: [
                APPLICATION_ROLES,
                CHECKS_TARGET,
                FILTERS_PLAIN_SQL,
                SETS_REPLICATION_ROLE,
                SOURCE_CA,
                SOURCE_ENCODING,
            ]
            .map(str::to_owned)
            .to_vec(),
            ssl_mode: Some(endpoint.ssl_mode().to_owned()),
            statement_timeout: "0".into(),
            idle_transaction_timeout: "0".into(),
            always_on: true,
            runtime_status: Some("running".into()),
            ..row.project.clone()
        }
    }

    /// The connection strings of a project's owner.
    pub(super) fn connections(&self, row: &ProjectRow) -> anyhow::Result<Connections> {
        let password = self.secret_box.open(&row.role_password)?;
        Ok(self.connections_as(&row.project, &row.project.role_name, &password))
    }

    /// Creates a role of the project that owns nothing, and returns its connection strings. `None` if
    /// another role of the server has its name.
    pub(super) async fn application_role(&self, row: &ProjectRow, name: &str) -> anyhow::Result<Option<Connections>> {
        let Project { role_name, database_name, .. } = &row.project;
        // The same password each time, which does not tell the owner's.
        let owner_password = self.secret_box.open(&row.role_password)?;
        let login = login_name(role_name, name);
        let password = Signer::new(owner_password.as_bytes()).sign(&format!("role {login}"));
        let role =
            ApplicationRole { database: database_name, owner: role_name, name, login: &login, password: &password };
        let is_made = self.target.make_application_role(&role).await?;
        Ok(is_made.then(|| self.connections_as(&row.project, &login, &password)))
    }

    fn connections_as(&self, project: &Project, role_name: &str, password: &str) -> Connections {
        let database_name = &project.database_name;
        let endpoint = &self.target.endpoint;
        let host =
            if endpoint.host().contains(':') { format!("[{}]", endpoint.host()) } else { endpoint.host().to_owned() };
        let (port, ssl_mode) = (endpoint.port(), endpoint.ssl_mode());
        let url = format!("postgres://{role_name}:{password}@{host}:{port}/{database_name}?sslmode={ssl_mode}");
        Connections { direct_url: Some(url.clone()), pooled_url: Some(url), username: role_name.to_owned() }
    }
}

/// Name of the login role of a project for a role of its source, at most 63 bytes long.
fn login_name(project_role: &str, name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && project_role.len() + 2 + name.len() <= 63 {
        return format!("{project_role}__{name}");
    }
    let digest = crypto::hex(&crypto::sha256(name));
    format!("{}__{}", &project_role[..project_role.len().min(50)], &digest[..10])
}
