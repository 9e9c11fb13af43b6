//! A control plane: it answers the API, stores uploads, and runs imports.

mod cleaning;
pub mod crypto;
mod database;
pub mod dev;
mod http;
mod importer;
mod integrations;
mod metrics;
mod objects;
mod outbox;
mod outside;
pub mod postgres;
mod running;
pub mod service;
mod signals;
mod store;
mod webhooks;
mod worker;

use crate::preflight::{FILTERS_PLAIN_SQL, Limits};
use crate::wire::{Connections, Job, Project};
use objects::Objects;
use secrecy::SecretString;
use signals::Signals;
use std::sync::Arc;
use store::{NewProject, ProjectRow, Store};

/// What the API and the worker share.
pub(crate) struct App {
    store: Store,
    objects: Objects,
    sealer: crypto::Sealer,
    /// Whether sources in private networks may be dialled.
    allow_private_sources: bool,
    /// The plan limit of new projects, in bytes.
    plan_limit: u64,
    /// The Postgres that holds the projects' databases.
    target: Arc<importer::TargetServer>,
    /// Where the API answers.
    site: http::Site,
    /// Everything is on one machine that belongs to the person who calls: `capydb dev`.
    is_local: bool,
    /// The key that the owner's own browser gets.
    owner_key: Option<SecretString>,
    /// How often one may call, and how many at a time may do what is dear.
    admission: http::Admission,
    /// Calls receivers of webhooks.
    receivers: reqwest::Client,
    /// Where connection strings are pushed.
    providers: integrations::Providers,
    metrics: metrics::Metrics,
    signals: Signals,
}

/// By this a control plane knows its own things from those of another one on the same server:
/// what its first process has sealed is like no other's.
fn plane_of(sealed: &[u8]) -> String {
    crypto::hex(&sealed[..sealed.len().min(8)])
}

impl App {
    /// Stores a new project and has it made: its id and the job. `None` when the slug is taken.
    async fn create_project(
        &self,
        organization_id: &str,
        name: &str,
        slug: &str,
        environment: &str,
    ) -> anyhow::Result<Option<(String, Job)>> {
        // There is one of each here; the hosted service has more.
        let (region, plan) = if self.is_local { ("local", "dev") } else { ("self-hosted", "server") };
        let new = NewProject {
            organization_id,
            name,
            slug,
            environment,
            region,
            plan,
            storage_limit_bytes: self.plan_limit,
            role_password: &self.sealer.seal(&crypto::random_hex(24))?,
        };
        let made = self.store.create_project(&new).await?;
        self.signals.call_workers();
        Ok(made)
    }

    /// The limits that a source is graded against.
    fn limits(&self, project: &Project) -> Limits {
        Limits {
            storage_limit_bytes: project.storage_limit_bytes,
            target_version: self.target.major.to_string(),
            extensions: self.target.extensions.clone(),
        }
    }

    /// Adds what only the running control plane knows.
    fn shown(&self, row: &ProjectRow) -> Project {
        Project {
            public_host: Some(self.target.place.host().to_owned()),
            direct_port: self.target.place.port().into(),
            pooled_port: self.target.place.port().into(),
            max_connections: importer::MAX_CONNECTIONS,
            postgres_version: Some(self.target.major.to_string()),
            import_features: vec![FILTERS_PLAIN_SQL.to_owned()],
            ssl_mode: Some(self.target.place.ssl_mode().to_owned()),
            statement_timeout: "0".into(),
            idle_transaction_timeout: "0".into(),
            always_on: true,
            runtime_status: Some("running".into()),
            ..row.project.clone()
        }
    }

    /// How a project's owner connects.
    fn connections(&self, row: &ProjectRow) -> anyhow::Result<Connections> {
        let password = self.sealer.open(&row.role_password)?;
        let Project { role_name, database_name, .. } = &row.project;
        let place = &self.target.place;
        let host = if place.host().contains(':') { format!("[{}]", place.host()) } else { place.host().to_owned() };
        let (port, ssl_mode) = (place.port(), place.ssl_mode());
        let url = format!("postgres://{role_name}:{password}@{host}:{port}/{database_name}?sslmode={ssl_mode}");
        Ok(Connections { direct_url: Some(url.clone()), pooled_url: Some(url), username: role_name.clone() })
    }
}
