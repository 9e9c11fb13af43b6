//! A control plane: it answers the API, stores uploads, and runs imports.

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
mod store;
mod webhooks;
mod worker;

use crate::preflight::{FILTERS_PLAIN_SQL, Limits};
use crate::wire::{Connections, Project};
use objects::Objects;
use secrecy::SecretString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use store::{ProjectRow, Store};
use tokio::sync::Notify;

/// What a process is made of; the rest of [`App`] is the same in all.
struct Parts {
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
}

/// What the API and the worker share.
pub(crate) struct App {
    store: Store,
    objects: Objects,
    sealer: crypto::Sealer,
    allow_private_sources: bool,
    plan_limit: u64,
    target: Arc<importer::TargetServer>,
    site: http::Site,
    is_local: bool,
    owner_key: Option<SecretString>,
    /// Calls receivers of webhooks.
    receivers: reqwest::Client,
    /// Calls providers of integrations.
    providers_http: reqwest::Client,
    /// Where those are.
    providers: integrations::Providers,
    metrics: metrics::Metrics,
    /// How often one may call.
    rate_limits: http::RateLimits,
    /// Places for those who look into databases.
    looks: http::Looks,
    /// Places for those who run statements.
    queries: http::Looks,
    /// Something of a job that is over could not be cleaned away yet.
    untidy: AtomicBool,
    /// Wakes the workers when there is a new job.
    wake: Notify,
    /// Wakes those who tell others what has happened.
    news: Notify,
}

/// By this a control plane knows its own things from those of another one on the same server:
/// what its first process has sealed is like no other's.
fn plane_of(sealed: &[u8]) -> String {
    crypto::hex(&sealed[..sealed.len().min(8)])
}

impl App {
    fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, objects, sealer, allow_private_sources, plan_limit, target, site, is_local, owner_key } =
            parts;
        Ok(Self {
            store,
            objects,
            sealer,
            allow_private_sources,
            plan_limit,
            target,
            site,
            is_local,
            owner_key,
            receivers: outside::receivers(is_local)?,
            providers_http: outside::providers()?,
            providers: integrations::Providers::from_environment()?,
            metrics: metrics::Metrics::new(),
            rate_limits: http::RateLimits::new(),
            looks: http::Looks::new("too many sources are being looked at; try again"),
            queries: http::Looks::new("too many statements are being run; try again"),
            untidy: AtomicBool::new(false),
            wake: Notify::new(),
            news: Notify::new(),
        })
    }

    /// Wakes the workers that wait, and lets the next one that comes to wait look again.
    fn call_workers(&self) {
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// Wakes those who tell others what has happened.
    fn tell_news(&self) {
        self.news.notify_waiters();
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
