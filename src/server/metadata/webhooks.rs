use super::events::new_event;
use super::{DeliveryError, MAX_DELIVERY_ATTEMPTS, Store, new_id, rfc3339};
use crate::wire::{UpdateWebhookEndpoint, WEBHOOK_TEST, WebhookDelivery, WebhookEndpoint, WebhookEventData};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Endpoints that an organization may have.
const MOST_ENDPOINTS: i64 = 50;
/// Seconds until a delivery is tried again when whoever was sending it died.
const LEASE_SECONDS: i32 = 60;
/// So long deliveries that are over are remembered.
const HISTORY_DAYS: i32 = 30;

/// What a new endpoint is made from.
pub(crate) struct NewEndpoint<'a> {
    /// The organization whose events it gets.
    pub organization_id: &'a str,
    /// Where they are sent.
    pub url: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// The types that it gets; none means all.
    pub event_types: &'a [String],
    /// What is signed with, sealed.
    pub secret: &'a [u8],
}

/// A delivery that somebody has taken to send it.
pub(crate) struct DueDelivery {
    /// Its id.
    pub id: String,
    /// Whom it is for.
    pub endpoint_id: String,
    /// The number of this attempt; those who end it must still have it.
    pub attempt: i32,
    /// Type of the event.
    pub event_type: String,
    /// What is sent.
    pub body: String,
    /// Where it is sent.
    pub url: String,
    /// What it is signed with, sealed.
    pub secret: Vec<u8>,
    /// Whether the endpoint wants anything at all by now.
    pub enabled: bool,
}

const ENDPOINT: &str = "id, organization_id, url, description, event_types, enabled, created_at, updated_at";
const DELIVERY: &str = "id, endpoint_id, event_id, event_type, state, attempts, last_status, last_error,
    next_attempt_at, delivered_at, created_at";

impl Store {
    /// Stores an endpoint. `None` when the organization has too many.
    pub(crate) async fn add_endpoint(&self, new: &NewEndpoint<'_>) -> anyhow::Result<Option<WebhookEndpoint>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // One at a time, so that what is counted is all there is.
        transaction
            .execute("select from organizations where id = $1 for no key update", &[&new.organization_id])
            .await?;
        let count = "select count(*) from webhook_endpoints where organization_id = $1";
        if transaction.query_one(count, &[&new.organization_id]).await?.get::<_, i64>(0) >= MOST_ENDPOINTS {
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

    /// An organization's endpoints, the oldest first.
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

    /// Changes what is named of an endpoint.
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

    /// Gives an endpoint another secret, which signs from now on.
    pub(crate) async fn set_endpoint_secret(&self, id: &str, sealed: &[u8]) -> anyhow::Result<Option<WebhookEndpoint>> {
        let sql =
            format!("update webhook_endpoints set secret = $2, updated_at = now() where id = $1 returning {ENDPOINT}");
        Ok(self.client().await?.query_opt(&sql, &[&id, &sealed]).await?.as_ref().map(endpoint))
    }

    /// Forgets an endpoint with its deliveries.
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

    /// Stores a delivery by which somebody tries an endpoint out, whatever it asks for.
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

    /// Takes deliveries whose time has come, at most so many, and none of busy endpoints. Each comes
    /// again after a while unless its end is stored.
    pub(crate) async fn claim_deliveries(&self, most: usize, busy: &[String]) -> anyhow::Result<Vec<DueDelivery>> {
        // Materialized, so that the rows are chosen once, however the update is planned.
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

    /// Stores what became of an attempt, the receiver's status; one that came too late changes
    /// nothing. `again_in` is the pause before the next one, in seconds.
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
        // Those who failed together do not come back together.
        let sql = "update webhook_deliveries set state = $3, last_status = $4, last_error = $5,
                       next_attempt_at = now() + make_interval(secs => $6 * (0.9 + 0.2 * random())),
                       delivered_at = case when $3 = 'delivered' then now() end
                   where id = $1 and attempts = $2 and state = 'pending'";
        let values: [&(dyn ToSql + Sync); 6] = [&item.id, &item.attempt, &state, &status, &error, &again_in];
        self.client().await?.execute(sql, &values).await?;
        Ok(())
    }

    /// Forgets what happened long ago.
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
        // Whoever finds the last one unanswered counts once more.
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
