//! Events of finished jobs, recorded in the same transaction as the end of the job.

use super::{integrations, new_id, rfc3339};
use crate::wire::{
    IMPORT_COMPLETED, JOB_COMPLETED, JOB_FAILED, Job, JobState, PROJECT_IMPORT, WebhookEvent, WebhookEventData,
};
use tokio_postgres::Transaction;

/// Records the events of a finished job in the transaction that ends it: one delivery for each webhook
/// endpoint that subscribes, and after an import a push of the connection strings.
pub(super) async fn record_events(transaction: &Transaction<'_>, job: &Job) -> anyhow::Result<()> {
    let imported = job.kind == PROJECT_IMPORT && job.state == JobState::Completed;
    let kinds: &[&str] = match job.state {
        JobState::Completed if imported => &[IMPORT_COMPLETED, JOB_COMPLETED],
        JobState::Completed => &[JOB_COMPLETED],
        _ => &[JOB_FAILED],
    };
    for kind in kinds {
        let data = WebhookEventData {
            organization_id: job.organization_id.clone(),
            project_id: job.project_id.clone(),
            job_id: Some(job.id.clone()),
            job_type: Some(job.kind.clone()),
            state: Some(job.state.as_str().to_owned()),
            error: job.error.clone(),
            result: job.result.clone().filter(|_| imported),
        };
        let event = new_event(kind, data);
        let sql = "insert into webhook_deliveries (id, endpoint_id, event_id, event_type, body)
                   select gen_random_uuid()::text, id, $2, $3, $4 from webhook_endpoints
                   where organization_id = $1 and enabled and (event_types = '{}' or $3 = any(event_types))";
        let body = serde_json::to_string(&event)?;
        transaction.execute(sql, &[&job.organization_id, &event.id, &event.kind, &body]).await?;
    }
    if imported {
        integrations::request_push(transaction, job.project_id.as_deref().unwrap_or_default(), None).await?;
    }
    Ok(())
}

/// An event with a new id.
pub(super) fn new_event(kind: &str, data: WebhookEventData) -> WebhookEvent {
    let id = format!("evt_{}", new_id().replace('-', ""));
    WebhookEvent { id, kind: kind.to_owned(), created_at: rfc3339(jiff::Timestamp::now()), data }
}
