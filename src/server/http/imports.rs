use super::auth::{Authorized, visible_project};
use super::body::{Body, Path};
use super::error::Refused;
use super::limits::DEAR;
use super::openapi::Refusals;
use super::{Answer, Shared};
use crate::preflight::{bytes, grade};
use crate::server::App;
use crate::server::store::{NewJob, UploadRow};
use crate::source::providers::{self, Advice};
use crate::source::{SourceUrl, connect, inspect};
use crate::wire::{ImportRequest, JobAnswer, PROJECT_IMPORT, PreflightAnswer, PreflightRequest, Project};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Look at a source and grade it; nothing is changed
#[utoipa::path(post, path = "/v1/projects/{id}/imports/preflight", tag = "imports",
    request_body = PreflightRequest, responses((status = 200, body = PreflightAnswer), Refusals))]
pub(super) async fn preflight(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<PreflightRequest>,
) -> Answer<PreflightAnswer> {
    let row = visible_project(&app, &caller, &id).await?;
    let url = source(&request.source_url)?;
    app.admission.rate.key(&caller.key_id, DEAR)?;
    let _look = app.admission.looks.take(&caller.key_id).await?;
    let session = connect::connect(&url, app.allow_private_sources).await;
    let session = session.map_err(|error| Refused::bad(error.to_string()))?;
    let facts = inspect::inspect(&session).await.map_err(|error| Refused::bad(format!("{error:#}")))?;
    Ok(Json(PreflightAnswer { preflight: grade(facts, &app.limits(&row.project)) }))
}

/// Start an import from a live source or from an uploaded dump
#[utoipa::path(post, path = "/v1/projects/{id}/imports", tag = "imports",
    request_body = ImportRequest, responses((status = 202, body = JobAnswer), Refusals))]
pub(super) async fn start(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<ImportRequest>,
) -> Result<(StatusCode, Json<JobAnswer>), Refused> {
    let row = visible_project(&app, &caller, &id).await?;
    if !request.confirm {
        return Err(Refused::bad("an import writes to the project's database: send confirm: true"));
    }
    if row.project.state != "ready" {
        return Err(Refused::conflict(format!("the project is {}, not ready", row.project.state)));
    }
    let mut stored = request.clone();
    let secret = match (stored.source_url.take(), &request.upload_key) {
        (Some(url), None) => Some(app.sealer.seal(source(&url)?.expose())?),
        (None, Some(key)) => {
            check_upload(&app, &row.project, key).await?;
            None
        }
        _ => return Err(Refused::bad("send exactly one of source_url and upload_key")),
    };
    let new = NewJob {
        kind: PROJECT_IMPORT,
        organization_id: &caller.organization.id,
        project_id: &row.project.id,
        request: serde_json::to_value(&stored).map_err(anyhow::Error::from)?,
        secret,
    };
    let Some(job) = app.store.create_job(&new).await? else {
        return Err(Refused::conflict("an import of this project is running already; wait until it is over"));
    };
    app.signals.call_workers();
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job })))
}

/// Length of an object in bytes, if it is there. A bucket does not tell when one has arrived.
async fn arrived(app: &App, upload: &UploadRow) -> Result<Option<u64>, Refused> {
    if upload.size.is_some() || upload.in_parts.is_some() {
        return Ok(upload.size);
    }
    let size = app.objects.size(&upload.object_key).await.map_err(anyhow::Error::from)?;
    if let Some(size) = size {
        app.store.finish_upload(&upload.object_key, size).await?;
    }
    Ok(size)
}

/// The URL as it will be dialled, or why it will not be.
fn source(text: &str) -> Result<SourceUrl, Refused> {
    let url = SourceUrl::parse(text).map_err(|problem| Refused::bad(problem.to_string()))?;
    match providers::advise(&url) {
        Advice::Fine => Ok(url.normalise().0),
        Advice::Rewrite(provider, instead, why) => {
            Err(Refused::bad(format!("this is {why} ({}); use {instead} instead", provider.name)))
        }
        Advice::Refuse(provider, why) => {
            Err(Refused::bad(format!("this is {why} ({}); the URL to use is here: {}", provider.name, provider.string)))
        }
    }
}

async fn check_upload(app: &App, project: &Project, key: &str) -> Result<(), Refused> {
    let upload = app.store.upload(key).await?.filter(|upload| upload.project_id == project.id);
    let Some(size) = (match upload {
        Some(upload) => arrived(app, &upload).await?,
        None => None,
    }) else {
        return Err(Refused::bad("upload_key names no dump that was uploaded for this project"));
    };
    if size > project.storage_limit_bytes {
        let (size, limit) = (bytes(size), bytes(project.storage_limit_bytes));
        return Err(Refused::too_large(format!("the dump has {size}, more than the {limit} of the project's plan")));
    }
    Ok(())
}
