//! The control plane's own metadata, in Postgres. Postgres is also the queue.

mod accounts;
mod jobs;
mod logins;
mod projects;
mod uploads;

pub(super) use accounts::Caller;
pub(super) use jobs::{Beat, CANCELLED, Claim, Ending, NewJob};
pub(super) use logins::{CliLogin, NewLogin};
pub(super) use projects::{NewProject, ProjectRow};
pub(super) use uploads::{InParts, UploadRow};

use anyhow::Context;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

mod migrations {
    refinery::embed_migrations!("src/server/store/migrations");
}

/// How long one may wait for a connection.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The metadata database.
#[derive(Clone)]
pub(super) struct Store {
    pool: Pool,
}

impl Store {
    /// Connects, and brings the schema to this version. One process at a time does that.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let (mut client, connection) = config.connect(NoTls).await.context("connect to the metadata")?;
        let running = tokio::spawn(connection);
        client.execute("select pg_advisory_lock(4815162342)", &[]).await?;
        migrations::migrations::runner().run_async(&mut client).await.context("bring the metadata up to date")?;
        drop(client);
        running.await??;
        let manager =
            Manager::from_config(config.clone(), NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(PATIENCE)).create_timeout(Some(PATIENCE)).recycle_timeout(Some(PATIENCE));
        Ok(Self { pool: pool.build()? })
    }

    async fn client(&self) -> anyhow::Result<Object> {
        self.pool.get().await.context("reach the metadata")
    }

    /// Whether the metadata answers.
    pub(super) async fn is_up(&self) -> bool {
        match self.client().await {
            Ok(client) => client.simple_query("select 1").await.is_ok(),
            Err(_) => false,
        }
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
