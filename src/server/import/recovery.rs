//! Determines the outcome of earlier attempts from the target server, and rolls back unfinished ones.
//! The procedure is the same after an error, a crash of the worker, and a cancellation.

use super::error::failure::LEASE_LOST;
use super::{Import, ImportFailure, application_prefix, in_place, recreate, replication_role};
use crate::server::target::CreatedObjects;
use crate::wire::ImportSummary;
use std::time::{Duration, Instant};

/// How long the target server may be unreachable, for instance after a crash, before the outcome is
/// left to a later attempt.
const SERVER_TIMEOUT: Duration = Duration::from_mins(5);
/// The same for errors of one database, which its owner may have caused.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two tries.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The summary if an attempt completed the import. Otherwise attempts are rolled back, so the target is
/// in its old state.
pub(super) async fn find_outcome(import: &Import<'_>) -> Result<Option<ImportSummary>, ImportFailure> {
    let started = Instant::now();
    loop {
        // An attempt that lost its lease must not disturb the one that holds it now.
        if matches!(import.store.extend_lease(import.job).await, Ok(false)) {
            return Err(ImportFailure::lease_lost());
        }
        match determine_outcome(import).await {
            Ok(summary) => return Ok(summary),
            Err(error) if started.elapsed() < retry_timeout(import).await => {
                tracing::warn!("job {}: cannot determine the outcome yet, retrying: {error:#}", import.job.id);
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Err(error) => return Err(ImportFailure::unresolved(format!("{error:#}"))),
        }
    }
}

/// If the server answers, only the database has an error, and other jobs should not wait as long.
async fn retry_timeout(import: &Import<'_>) -> Duration {
    if import.server.session("postgres").await.is_ok() { DATABASE_TIMEOUT } else { SERVER_TIMEOUT }
}

async fn determine_outcome(import: &Import<'_>) -> anyhow::Result<Option<ImportSummary>> {
    let server = import.server;
    server.terminate_attempts(&application_prefix(&import.job.id), import.job.attempts).await?;
    replication_role::revoke(import).await?;
    let (transaction, created) = import.store.recovery_notes(import.job).await?;
    let finished = if import.recreate {
        recreate::is_finished(import).await?
    } else {
        in_place::is_finished(import, transaction.as_deref()).await?
    };
    if finished {
        let Ok(measure) = server.measure(import.database).await else { return Ok(Some(ImportSummary::default())) };
        // In an existing database, the server cannot tell which tables the import created.
        let tables = import.recreate.then_some(measure.tables);
        return Ok(Some(ImportSummary { tables, ..measure.into() }));
    }
    // Without the lease, the objects may belong to another worker's attempt.
    if !import.store.extend_lease(import.job).await? {
        anyhow::bail!(LEASE_LOST);
    }
    recreate::drop_staging(server, &import.job.id).await?;
    if let Some(created) = created {
        let created: CreatedObjects = serde_json::from_value(created)?;
        // Extensions were dropped with the staging database; roles belong to the whole server.
        if !import.recreate {
            server.rollback_created(&import.application_name(), import.database, &created).await?;
        }
        server.drop_created_roles(&import.application_name(), import.store, import.job, &created.roles).await?;
        import.store.set_created_objects(import.job, &serde_json::to_value(CreatedObjects::default())?).await?;
    }
    Ok(None)
}
