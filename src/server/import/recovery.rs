//! How an attempt ended, whoever died in it: the target server is asked, not guessed about, and
//! what an unfinished one has left is taken away. It is the same after an error, after a death
//! of the worker, and when somebody wants no more of it.

use super::error::failure::LEASE_LOST;
use super::{Import, ImportFailure, application_prefix, in_place, recreate};
use crate::server::target::CreatedObjects;
use crate::wire::ImportSummary;
use std::time::{Duration, Instant};

/// So long the target server may be away, after a crash for instance, before the job is handed
/// back to be concluded later.
const PATIENCE: Duration = Duration::from_mins(5);
/// The same for trouble with one database, whatever its owner has done to it.
const TROUBLE: Duration = Duration::from_secs(30);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// What the import has brought, if it is finished; otherwise the target is in its old state.
pub(super) async fn find_outcome(import: &Import<'_>) -> Result<Option<ImportSummary>, ImportFailure> {
    let asked = Instant::now();
    loop {
        // Whoever is late must not disturb the one that has the job by now.
        if matches!(import.store.extend_lease(import.job).await, Ok(false)) {
            return Err(ImportFailure::lease_lost());
        }
        match ask(import).await {
            Ok(summary) => return Ok(summary),
            Err(error) if asked.elapsed() < patience(import).await => {
                tracing::warn!("job {}: how it stands cannot be told yet: {error:#}", import.job.id);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(ImportFailure::unresolved(format!("{error:#}"))),
        }
    }
}

/// With a server that answers, something else is wrong, and others should not wait for it.
async fn patience(import: &Import<'_>) -> Duration {
    if import.server.session("postgres").await.is_ok() { TROUBLE } else { PATIENCE }
}

async fn ask(import: &Import<'_>) -> anyhow::Result<Option<ImportSummary>> {
    let server = import.server;
    server.terminate_attempts(&application_prefix(&import.job.id), import.job.attempts).await?;
    let (transaction, created) = import.store.recovery_notes(import.job).await?;
    let finished = if import.recreate {
        recreate::is_finished(import).await?
    } else {
        in_place::is_finished(import, transaction.as_deref()).await?
    };
    if finished {
        let Ok(measure) = server.measure(import.database).await else { return Ok(Some(ImportSummary::default())) };
        // Of what joined a database that was there the server tells no more than its size.
        let tables = import.recreate.then_some(measure.tables);
        return Ok(Some(ImportSummary { tables, ..measure.into() }));
    }
    // What is there may be what another worker counts on by now.
    if !import.store.extend_lease(import.job).await? {
        anyhow::bail!(LEASE_LOST);
    }
    recreate::drop_staging(server, &import.job.id).await?;
    if let Some(created) = created {
        let created: CreatedObjects = serde_json::from_value(created)?;
        // Extensions of a staging database went with it; the roles are the server's.
        if !import.recreate {
            server.rollback_created(&import.application_name(), import.database, &created).await?;
        }
        server.drop_created_roles(&import.application_name(), import.store, import.job, &created.roles).await?;
        import.store.set_created_objects(import.job, &serde_json::to_value(CreatedObjects::default())?).await?;
    }
    Ok(None)
}
