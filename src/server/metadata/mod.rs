//! The control plane's own metadata, in Postgres. Postgres is also the queue.

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

/// A server that does not answer within this time is not up.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

/// Sessions that one process holds at most.
const SESSIONS: usize = 8;

/// How long one may wait for a connection.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The metadata database.
#[derive(Clone)]
pub(super) struct Store {
    pool: Pool,
}

impl Store {
    /// Connects, and brings the schema to this version. One process at a time does that.
    pub(super) async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let (mut client, running) = endpoint.connect_watched().await.context("connect to the metadata")?;
        client.execute("select pg_advisory_lock(4815162342)", &[]).await?;
        // A process of the version before must be able to start while others are brought up to date.
        let runner = migrations::migrations::runner().set_abort_missing(false);
        runner.run_async(&mut client).await.context("bring the metadata up to date")?;
        drop(client);
        running.await?;
        // What others have set for the server must not end what takes its time, nor may we wait for ever.
        let endpoint = endpoint.with(|config| {
            config.options("-c idle_in_transaction_session_timeout=0 -c statement_timeout=60s");
        });
        let pool = Pool::builder(endpoint.manager()).max_size(SESSIONS).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(PATIENCE)).create_timeout(Some(PATIENCE)).recycle_timeout(Some(PATIENCE));
        Ok(Self { pool: pool.build()? })
    }

    async fn client(&self) -> anyhow::Result<Object> {
        self.pool.get().await.context("reach the metadata")
    }

    /// Keeps the roles of projects, which may be of the same server, out of the metadata.
    pub(super) async fn revoke_public_access(&self) -> anyhow::Result<()> {
        let sql = "do $$ begin execute format('revoke all on database %I from public', current_database()); end $$";
        Ok(self.client().await?.batch_execute(sql).await?)
    }

    /// Does something that one process at a time is enough for; the others go on without it, which
    /// is told by false.
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

    /// Checks that this process has the key with which the secrets of the metadata are sealed:
    /// `sealed` is what the first one has made with it.
    pub(super) async fn seal_check(&self, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let client = self.client().await?;
        client.execute("insert into seal_check (sealed) values ($1) on conflict do nothing", &[&sealed]).await?;
        Ok(client.query_one("select sealed from seal_check", &[]).await?.get(0))
    }

    /// Whether the metadata answers.
    pub(super) async fn is_up(&self) -> bool {
        let retry_after = async { anyhow::Ok(self.client().await?.simple_query("select 1").await?) };
        tokio::time::timeout(ANSWER, retry_after).await.is_ok_and(|answer| answer.is_ok())
    }
}

/// A new id: sorts by the time it was made.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A time as the API writes it.
fn rfc3339(time: jiff::Timestamp) -> String {
    time.round(jiff::Unit::Millisecond).unwrap_or(time).to_string()
}
