//! Integrations and their pending pushes of connection strings.

use super::{DeliveryError, MAX_DELIVERY_ATTEMPTS, Store, rfc3339};
use crate::wire::Integration;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};

/// Seconds until a claimed push is retried if its worker dies.
const LEASE_SECONDS: i32 = 120;

/// A push claimed by a worker.
pub(crate) struct DuePush {
    /// The project whose connection strings are pushed.
    pub project_id: String,
    /// The provider to push to.
    pub provider: String,
    /// Settings of the integration.
    pub config: Value,
    /// Secrets of the integration, encrypted.
    pub credentials: Option<Vec<u8>>,
    /// Counts the requests for a push. A push of an older request does not settle a newer one.
    pub generation: i64,
    /// Number of this attempt. A result is stored only if the number is still current.
    pub attempt: i32,
}

const COLUMNS: &str =
    "provider, state, config, credentials is not null, external_id, attempts, last_error, last_pushed_at,
    next_attempt_at, created_at, updated_at";

impl Store {
    /// A project's integrations, by provider.
    pub(crate) async fn integrations(&self, project: &str) -> anyhow::Result<Vec<Integration>> {
        let sql = format!("select {COLUMNS} from integrations where project_id = $1 order by provider");
        Ok(self.client().await?.query(&sql, &[&project]).await?.iter().map(from_row).collect())
    }

    /// Connects a project to a provider, and requests a push. Without credentials, the stored ones are
    /// kept.
    pub(crate) async fn connect(
        &self,
        project: &str,
        provider: &str,
        config: &Value,
        credentials: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "insert into integrations (project_id, provider, config, credentials) values ($1, $2, $3, $4)
                   on conflict (project_id, provider) do update
                   set config = $3, credentials = coalesce($4, integrations.credentials),
                       external_id = case when integrations.config = $3 then integrations.external_id end,
                       last_pushed_at = case when integrations.config = $3 then integrations.last_pushed_at end";
        transaction.execute(sql, &[&project, &provider, config, &credentials]).await?;
        request_push(&*transaction, project, Some(provider)).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes an integration. False if it does not exist.
    pub(crate) async fn disconnect(&self, project: &str, provider: &str) -> anyhow::Result<bool> {
        let sql = "delete from integrations where project_id = $1 and provider = $2";
        Ok(self.client().await?.execute(sql, &[&project, &provider]).await? == 1)
    }

    /// Claims up to `most` due pushes, excluding `busy` projects.
    pub(crate) async fn claim_pushes(&self, most: usize, busy: &[String]) -> anyhow::Result<Vec<DuePush>> {
        // Materialized, so that the rows are selected only once, whatever the plan of the update.
        let sql = "with due as materialized (
                       select project_id, provider from integrations
                       where state = 'pending' and next_attempt_at <= now() and project_id <> all($3)
                       order by next_attempt_at limit $1 for update skip locked)
                   update integrations i
                   set attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2)
                   from due where i.project_id = due.project_id and i.provider = due.provider
                   returning i.project_id, i.provider, config, credentials, wish, attempts";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.client().await?.query(sql, &[&most, &f64::from(LEASE_SECONDS), &busy]).await?;
        let item = |row: &Row| DuePush {
            project_id: row.get(0),
            provider: row.get(1),
            config: row.get(2),
            credentials: row.get(3),
            generation: row.get(4),
            attempt: row.get(5),
        };
        Ok(rows.iter().map(item).collect())
    }

    /// Stores the result of an attempt: the provider's id of the target, or an error. A push that was
    /// requested in the meantime stays pending. `again_in` is the delay before a retry, in seconds.
    pub(crate) async fn end_push(
        &self,
        item: &DuePush,
        pushed: &Result<String, DeliveryError>,
        again_in: f64,
    ) -> anyhow::Result<()> {
        let (state, external_id, error) = match pushed {
            Ok(id) => ("connected", Some(id), None),
            Err(error) if error.will_retry(item.attempt) => ("pending", None, Some(&error.message)),
            Err(error) => ("error", None, Some(&error.message)),
        };
        let sql = "update integrations set state = $5, external_id = coalesce($6, external_id), last_error = $7,
                       last_pushed_at = case when $5 = 'connected' then now() else last_pushed_at end,
                       next_attempt_at = now() + make_interval(secs => $8 * (0.9 + 0.2 * random())), updated_at = now()
                   where project_id = $1 and provider = $2 and wish = $3 and attempts = $4 and state = 'pending'";
        let values: [&(dyn ToSql + Sync); 8] = [
            &item.project_id,
            &item.provider,
            &item.generation,
            &item.attempt,
            &state,
            &external_id,
            &error,
            &again_in,
        ];
        self.client().await?.execute(sql, &values).await?;
        Ok(())
    }
}

/// Requests a push to one of a project's integrations, or to all.
pub(super) async fn request_push(
    client: &impl GenericClient,
    project: &str,
    provider: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    let sql = "update integrations set state = 'pending', wish = wish + 1, attempts = 0, last_error = null,
                   next_attempt_at = now(), updated_at = now()
               where project_id = $1 and ($2::text is null or provider = $2)";
    client.execute(sql, &[&project, &provider]).await?;
    Ok(())
}

fn from_row(row: &Row) -> Integration {
    let state: String = row.get(1);
    let time = |column: usize| row.get::<_, Option<jiff::Timestamp>>(column).map(rfc3339);
    Integration {
        provider: row.get(0),
        config: row.get(2),
        has_credentials: row.get(3),
        external_id: row.get(4),
        attempts: row.get::<_, i32>(5).min(MAX_DELIVERY_ATTEMPTS),
        last_error: row.get(6),
        last_pushed_at: time(7),
        next_attempt_at: time(8).filter(|_| state == "pending"),
        created_at: rfc3339(row.get(9)),
        updated_at: rfc3339(row.get(10)),
        state,
    }
}
