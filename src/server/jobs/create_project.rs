//! The job that creates a project's role and database.

use super::worker::unresolved;
use crate::server::Core;
use crate::server::import::ImportFailure;
use crate::server::metadata::{Claim, ProjectState};
use anyhow::Context;
use std::time::Duration;

/// How often creating a project is retried.
const MAX_RETRIES: u32 = 5;
/// Pause before a retry.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Creates the role and the database of the job's project, and records the result.
pub(super) async fn run(core: &Core, claim: &Claim) -> Result<(), ImportFailure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let row = core.store.project(id).await.map_err(unresolved)?.context("the project no longer exists")?;
    if row.state == ProjectState::Ready {
        return Ok(()); // an earlier attempt created it
    }
    let password = core.secret_box.open(&row.role_password)?;
    let mut created = core.target.provision(&row.project.database_name, &row.project.role_name, &password).await;
    for _ in 0..MAX_RETRIES {
        if created.is_ok() {
            break;
        }
        tokio::time::sleep(RETRY_DELAY).await; // the target server may be restarting
        created = core.target.provision(&row.project.database_name, &row.project.role_name, &password).await;
    }
    let (state, error) = match &created {
        Ok(()) => (ProjectState::Ready, None),
        // The server may be down for longer: the next attempt retries.
        Err(error) if claim.job.attempts < claim.job.max_attempts && !core.target.is_up().await => {
            return Err(ImportFailure::unresolved(format!("{error:#}")));
        }
        Err(error) => (ProjectState::Failed, Some(format!("{error:#}"))),
    };
    if !core.store.extend_lease(&claim.job).await.map_err(unresolved)? {
        return Err(ImportFailure::lease_lost());
    }
    core.store.set_project_state(id, state, error.as_deref()).await.map_err(unresolved)?;
    Ok(created?)
}
