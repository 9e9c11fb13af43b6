//! Webhook endpoints and their deliveries.

use super::events::new_event;
use super::{DeliveryError, MAX_DELIVERY_ATTEMPTS, Store, new_id, rfc3339};
use crate::wire::{UpdateWebhookEndpoint, WEBHOOK_TEST, WebhookDelivery, WebhookEndpoint, WebhookEventData};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Maximum number of endpoints of an organization.
const MAX_ENDPOINTS: i64 = 50;
/// Seconds until a claimed delivery is retried if its worker dies.
const LEASE_SECONDS: i32 = 60;
/// How long finished deliveries are kept, in days.
const HISTORY_DAYS: i32 = 30;

/// The fields of a new endpoint.
pub(crate) struct NewEndpoint<'a> {
    /// The organization whose events it receives.
    pub organization_id: &'a str,
    /// URL that events are sent to.
    pub url: &'a str,
    /// Description for users.
    pub description: Option<&'a str>,
    /// Event types to receive; empty means all.
    pub event_types: &'a [String],
    /// Signing secret, encrypted.
    pub secret: &'a [u8],
}

/// A delivery claimed by a worker.
pub(crate) struct DueDelivery {
    /// Id of the delivery.
    pub id: String,
    /// Id of the endpoint.
    pub endpoint_id: String,
    /// Number of this attempt. A result is stored only if the number is still current.
    pub attempt: i32,
    /// Type of the event.
    pub event_type: String,
    /// Body of the request.
    pub body: String,
    /// URL of the endpoint.
    pub url: String,
    /// Signing secret of the endpoint, encrypted.
    pub secret: Vec<u8>,
    /// Whether the endpoint is still enabled.
    pub enabled: bool,
}

const ENDPOINT: &str = "id, organization_id, url, description, event_types, enabled, created_at, updated_at";
const DELIVERY: &str = "id, endpoint_id, event_id, event_type, state, attempts, last_status, last_error,
    next_attempt_at, delivered_at, created_at";

impl Store {
    /// Stores an endpoint. `None` if the organization has too many.
    pub(crate) async fn add_endpoint(&self, new: &NewEndpoint<'_>) -> anyhow::Result<Option<WebhookEndpoint>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Locked, so that concurrent calls cannot exceed the limit.
        transaction
            .execute("select from organizations where id = $1 for no key update", &[&new.organization_id])
            .await?;
        let count = "select count(*) from webhook_endpoints where organization_id = $1";
        if transaction.query_one(count, &[&new.organization_id]).await?.get::<_, i64>(0) >= MAX_ENDPOINTS {
            return Ok(None);
        }
        let sql = format!(
            "insert into webhook_endpoints (id, organization_id, url, description, event_types, secret)
             values ($1, $2, $3, $4, $5, $6) returning {ENDPOINT}"
        );
        let values: [&(dyn ToSql + Sync); 6] =
            [&new_id(), &new.organization_id, &new.url, &new.description, &new.event_types, &new.secret];
        let stored = endpoint(&transaction.query_one(&sql, &values).await?);
        transaction.commit().await?;
        Ok(Some(stored))
    }

    /// An organization's endpoints, oldest first.
    pub(crate) async fn endpoints(&self, organization: &str) -> anyhow::Result<Vec<WebhookEndpoint>> {
        let sql =
            format!("select {ENDPOINT} from webhook_endpoints where organization_id = $1 order by created_at, id");
        Ok(self.client().await?.query(&sql, &[&organization]).await?.iter().map(endpoint).collect())
    }

    /// One of an organization's endpoints.
    pub(crate) async fn endpoint(&self, organization: &str, id: &str) -> anyhow::Result<Option<WebhookEndpoint>> {
        let sql = format!("select {ENDPOINT} from webhook_endpoints where organization_id = $1 and id = $2");
        Ok(self.client().await?.query_opt(&sql, &[&organization, &id]).await?.as_ref().map(endpoint))
    }

    /// Updates the given fields of an endpoint.
    pub(crate) async fn update_endpoint(
        &self,
        id: &str,
        change: &UpdateWebhookEndpoint,
    ) -> anyhow::Result<Option<WebhookEndpoint>> {
        let sql = format!(
            "update webhook_endpoints set url = coalesce($2, url), event_types = coalesce($4, event_types),
                 description = case when $3 = '' then null else coalesce($3, description) end,
                 enabled = coalesce($5, enabled), updated_at = now()
             where id = $1 returning {ENDPOINT}"
        );
        let UpdateWebhookEndpoint { url, description, event_types, enabled } = change;
        let values: [&(dyn ToSql + Sync); 5] = [&id, url, description, event_types, enabled];
        Ok(self.client().await?.query_opt(&sql, &values).await?.as_ref().map(endpoint))
    }

    /// Replaces the signing secret of an endpoint, effective immediately.
    pub(crate) async fn set_endpoint_secret(&self, id: &str, sealed: &[u8]) -> anyhow::Result<Option<WebhookEndpoint>> {
        let sql =
            format!("update webhook_endpoints set secret = $2, updated_at = now() where id = $1 returning {ENDPOINT}");
        Ok(self.client().await?.query_opt(&sql, &[&id, &sealed]).await?.as_ref().map(endpoint))
    }

    /// Deletes an endpoint and its deliveries.
    pub(crate) async fn remove_endpoint(&self, id: &str) -> anyhow::Result<()> {
        self.client().await?.execute("delete from webhook_endpoints where id = $1", &[&id]).await?;
        Ok(())
    }

    /// An endpoint's deliveries, newest first.
    pub(crate) async fn deliveries(&self, endpoint: &str, limit: i64) -> anyhow::Result<Vec<WebhookDelivery>> {
        let sql = format!(
            "select {DELIVERY} from webhook_deliveries where endpoint_id = $1 order by created_at desc, id desc limit $2"
        );
        Ok(self.client().await?.query(&sql, &[&endpoint, &limit]).await?.iter().map(delivery).collect())
    }

    /// Stores a test delivery for an endpoint, whatever event types it subscribes to.
    pub(crate) async fn add_test_delivery(
        &self,
        organization: &str,
        endpoint: &str,
    ) -> anyhow::Result<Option<WebhookDelivery>> {
        let data = WebhookEventData { organization_id: organization.to_owned(), ..WebhookEventData::default() };
        let event = new_event(WEBHOOK_TEST, data);
        let sql = format!(
            "insert into webhook_deliveries (id, endpoint_id, event_id, event_type, body)
             select $1, id, $3, $4, $5 from webhook_endpoints where id = $2 returning {DELIVERY}"
        );
        let values: [&(dyn ToSql + Sync); 5] =
            [&new_id(), &endpoint, &event.id, &event.kind, &serde_json::to_string(&event)?];
        Ok(self.client().await?.query_opt(&sql, &values).await?.as_ref().map(delivery))
    }

    /// Claims up to `most` due deliveries, excluding `busy` endpoints. Each is due again after the lease
    /// unless its result is stored.
    pub(crate) async fn claim_deliveries(&self, most: usize, busy: &[String]) -> anyhow::Result<Vec<DueDelivery>> {
        // Materialized, so that the rows are selected only once, whatever the plan of the update.
        let sql = "with due as materialized (
                       select id from webhook_deliveries
                       where state = 'pending' and next_attempt_at <= now() and endpoint_id <> all($3)
                       order by next_attempt_at limit $1 for update skip locked)
                   update webhook_deliveries d set attempts = attempts + 1,
                       next_attempt_at = now() + make_interval(secs => $2)
                   from webhook_endpoints e, due where e.id = d.endpoint_id and d.id = due.id
                   returning d.id, d.attempts, d.event_type, d.body, e.url, e.secret, e.enabled, e.id";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.client().await?.query(sql, &[&most, &f64::from(LEASE_SECONDS), &busy]).await?;
        let item = |row: &Row| DueDelivery {
            endpoint_id: row.get(7),
            id: row.get(0),
            attempt: row.get(1),
            event_type: row.get(2),
            body: row.get(3),
            url: row.get(4),
            secret: row.get(5),
            enabled: row.get(6),
        };
        Ok(rows.iter().map(item).collect())
    }

    /// Stores the result of an attempt: the receiver's HTTP status, or an error. The result of an
    /// outdated attempt is ignored. `again_in` is the delay before a retry, in seconds.
    pub(crate) async fn end_delivery(
        &self,
        item: &DueDelivery,
        result: &Result<u16, DeliveryError>,
        again_in: f64,
    ) -> anyhow::Result<()> {
        let (state, status, error) = match result {
            Ok(status) => ("delivered", Some(*status), None),
            Err(error) if error.will_retry(item.attempt) => ("pending", error.status, Some(&error.message)),
            Err(error) => ("failed", error.status, Some(&error.message)),
        };
        let status = status.map(i32::from);
        // With jitter, so that deliveries that failed together are not retried together.
        let sql = "update webhook_deliveries set state = $3, last_status = $4, last_error = $5,
                       next_attempt_at = now() + make_interval(secs => $6 * (0.9 + 0.2 * random())),
                       delivered_at = case when $3 = 'delivered' then now() end
                   where id = $1 and attempts = $2 and state = 'pending'";
        let values: [&(dyn ToSql + Sync); 6] = [&item.id, &item.attempt, &state, &status, &error, &again_in];
        self.client().await?.execute(sql, &values).await?;
        Ok(())
    }

    /// Deletes old finished deliveries.
    pub(crate) async fn delete_old_deliveries(&self) -> anyhow::Result<()> {
        let sql = "delete from webhook_deliveries where state <> 'pending' and created_at < now() - make_interval(days => $1)";
        self.client().await?.execute(sql, &[&HISTORY_DAYS]).await?;
        Ok(())
    }
}

fn endpoint(row: &Row) -> WebhookEndpoint {
    WebhookEndpoint {
        id: row.get(0),
        organization_id: row.get(1),
        url: row.get(2),
        description: row.get(3),
        event_types: row.get(4),
        enabled: row.get(5),
        created_at: rfc3339(row.get(6)),
        updated_at: rfc3339(row.get(7)),
    }
}

fn delivery(row: &Row) -> WebhookDelivery {
    let state: String = row.get(4);
    let time = |column: usize| row.get::<_, Option<jiff::Timestamp>>(column).map(rfc3339);
    WebhookDelivery {
        id: row.get(0),
        webhook_endpoint_id: row.get(1),
        event_id: row.get(2),
        event_type: row.get(3),
        // A claim after an unfinished last attempt exceeds the maximum.
        attempts: row.get::<_, i32>(5).min(MAX_DELIVERY_ATTEMPTS),
        max_attempts: MAX_DELIVERY_ATTEMPTS,
        last_status: row.get(6),
        last_error: row.get(7),
        next_attempt_at: time(8).filter(|_| state == "pending"),
        delivered_at: time(9),
        created_at: rfc3339(row.get(10)),
        state,
    }
}
