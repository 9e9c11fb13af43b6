//! A control plane: it answers the API, stores uploads, and runs imports.

pub mod crypto;
pub mod dev;
mod http;
mod importer;
mod objects;
pub mod postgres;
mod store;
mod worker;

use crate::preflight::{FILTERS_PLAIN_SQL, Limits};
use crate::wire::{Connections, Project};
use objects::Objects;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use store::{ProjectRow, Store};
use tokio::sync::Notify;

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
    target: importer::TargetServer,
    /// Where the API answers.
    address: SocketAddr,
    /// How often one may call.
    rate_limits: http::RateLimits,
    /// Places for those who look at live sources.
    looks: http::Looks,
    /// Something of a job that is over could not be cleaned away yet.
    untidy: AtomicBool,
    /// Wakes the workers when there is a new job.
    wake: Notify,
}

impl App {
    /// Wakes the workers that wait, and lets the next one that comes to wait look again.
    fn call_workers(&self) {
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// The limits that a source is graded against.
    fn limits(&self, project: &Project) -> Limits {
        Limits {
            storage_limit_bytes: project.storage_limit_bytes,
            target_version: self.target.programs.version.0.to_string(),
            extensions: self.target.extensions.clone(),
        }
    }

    /// Adds what only the running control plane knows.
    fn shown(&self, row: &ProjectRow) -> Project {
        Project {
            public_host: Some("127.0.0.1".into()),
            direct_port: self.target.port.into(),
            pooled_port: self.target.port.into(),
            max_connections: importer::MAX_CONNECTIONS,
            postgres_version: Some(self.target.programs.version.0.to_string()),
            import_features: vec![FILTERS_PLAIN_SQL.to_owned()],
            ssl_mode: Some("disable".into()),
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
        let url =
            format!("postgres://{role_name}:{password}@127.0.0.1:{}/{database_name}?sslmode=disable", self.target.port);
        Ok(Connections { direct_url: Some(url.clone()), pooled_url: Some(url), username: role_name.clone() })
    }
}
