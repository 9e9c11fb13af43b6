//! The control plane's metadata in Postgres, which is also the job queue.

mod accounts;
mod delivery;
mod events;
mod integrations;
mod jobs;
mod logins;
mod projects;
mod uploads;
mod webhooks;

pub(super) use accounts::Caller;
pub(super) use delivery::{DeliveryError, MAX_DELIVERY_ATTEMPTS};
pub(super) use integrations::DuePush;
pub(super) use jobs::{Claim, JobOutcome, LeaseState, NewJob};
pub(super) use logins::{CliLogin, NewLogin};
pub(super) use projects::{NewProject, ProjectRow, ProjectState};
pub(super) use uploads::{MultipartSpec, UploadRow};
pub(super) use webhooks::{DueDelivery, NewEndpoint};

use super::postgres::Endpoint;
use anyhow::Context;
use deadpool_postgres::{Object, Pool, Runtime};

mod migrations {
    refinery::embed_migrations!("src/server/metadata/migrations");
}

/// Timeout of the health check.
const HEALTH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Maximum number of sessions of one process.
const MAX_SESSIONS: usize = 8;

/// Timeout for a connection from the pool.
const SESSION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The metadata database.
#[derive(Clone)]
pub(super) struct Store {
    pool: Pool,
}

impl Store {
    /// Connects, and migrates the schema to this version, under a lock.
    pub(super) async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let (mut client, running) =
            endpoint.connect_watched().await.context("cannot connect to the metadata database")?;
        client.execute("select pg_advisory_lock(4815162342)", &[]).await?;
        // During an upgrade, processes of the previous version must still be able to start.
        let runner = migrations::migrations::runner().set_abort_missing(false);
        runner.run_async(&mut client).await.context("cannot migrate the metadata")?;
        drop(client);
        running.await?;
        // Server-wide settings must not interrupt long transactions; our own statements are limited.
        let endpoint = endpoint.with(|config| {
            config.options("-c idle_in_transaction_session_timeout=0 -c statement_timeout=60s");
        });
        let pool = Pool::builder(endpoint.manager()).max_size(MAX_SESSIONS).runtime(Runtime::Tokio1);
        let pool = pool
            .wait_timeout(Some(SESSION_TIMEOUT))
            .create_timeout(Some(SESSION_TIMEOUT))
            .recycle_timeout(Some(SESSION_TIMEOUT));
        Ok(Self { pool: pool.build()? })
    }

    async fn client(&self) -> anyhow::Result<Object> {
        self.pool.get().await.context("cannot reach the metadata database")
    }

    /// Revokes access by projects' roles, which may be on the same server.
    pub(super) async fn revoke_public_access(&self) -> anyhow::Result<()> {
        let sql = "do $$ begin execute format('revoke all on database %I from public', current_database()); end $$";
        Ok(self.client().await?.batch_execute(sql).await?)
    }

    /// Runs work that only one process at a time should do. False if another process is doing it.
    pub(super) async fn run_exclusively(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let ours = transaction.query_one("select pg_try_advisory_xact_lock(4815162344)", &[]).await?.get(0);
        if ours {
            work.await?;
        }
        transaction.commit().await?;
        Ok(ours)
    }

    /// The stored ciphertext by which a process can check its encryption key. The first process stores
    /// `sealed` as that value.
    pub(super) async fn seal_check(&self, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let client = self.client().await?;
        client.execute("insert into seal_check (sealed) values ($1) on conflict do nothing", &[&sealed]).await?;
        Ok(client.query_one("select sealed from seal_check", &[]).await?.get(0))
    }

    /// Whether the metadata database responds.
    pub(super) async fn is_up(&self) -> bool {
        let probe = async { anyhow::Ok(self.client().await?.simple_query("select 1").await?) };
        tokio::time::timeout(HEALTH_TIMEOUT, probe).await.is_ok_and(|response| response.is_ok())
    }
}

/// A new id, which sorts by creation time (UUIDv7).
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A time in the API's format: RFC 3339 with milliseconds.
fn rfc3339(time: jiff::Timestamp) -> String {
    time.round(jiff::Unit::Millisecond).unwrap_or(time).to_string()
}
