//! The import job: reads the stored request, and runs the import engine.

use super::worker::unresolved;
use crate::server::Core;
use crate::server::import::{self, Import, ImportFailure, ImportSource, ProgressTracker, StopReason};
use crate::server::metadata::Claim;
use crate::server::postgres::Tools;
use crate::source::{SourceUrl, address_policy};
use crate::wire::{ImportRequest, ImportSummary};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;

/// Runs one attempt of an import job in its own work directory.
pub(super) async fn run(
    core: &Core,
    claim: &Claim,
    (tools, work): (&Tools, &Path),
    tracker: Arc<ProgressTracker>,
    stop_reason: Option<StopReason>,
) -> Result<ImportSummary, ImportFailure> {
    let id = claim.job.project_id.as_deref().unwrap_or_default();
    let row = core.store.project(id).await.map_err(unresolved)?.context("the project no longer exists")?;
    let request: ImportRequest = serde_json::from_value(claim.request.clone()).map_err(anyhow::Error::from)?;
    let import = Import {
        server: &core.target,
        store: &core.store,
        objects: &core.objects,
        tools,
        job: &claim.job,
        source: source(core, claim, &request)?,
        recreate: request.recreate,
        allow_empty: request.allow_empty,
        database: &row.project.database_name,
        role: &row.project.role_name,
        role_password: &core.secret_box.open(&row.role_password)?,
        limits: core.limits(&row.project),
        work,
        allow_private_sources: core.allow_private_sources,
        tracker,
        stop_reason,
    };
    import::run(&import).await
}

fn source(core: &Core, claim: &Claim, request: &ImportRequest) -> anyhow::Result<ImportSource> {
    if let Some(sealed) = &claim.secret {
        let url = SourceUrl::parse(&core.secret_box.open(sealed)?)?;
        let url = match &request.source_ca {
            Some(pem) => url.with_authorities(pem).context("the certificates of the source are invalid")?,
            None => url,
        };
        return Ok(ImportSource::Url(address_policy::normalized(url).0));
    }
    let key = request.upload_key.clone().context("the job has neither a source URL nor an upload")?;
    let encoding = request.source_encoding.as_deref().map(str::parse).transpose()?;
    Ok(ImportSource::Upload { key, encoding })
}
