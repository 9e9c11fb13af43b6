//! Import endpoints: preflight and start.

use super::auth::{Authorized, check_ready, visible_project};
use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::dump::encoding::SourceEncoding;
use crate::preflight::grade_source;
use crate::server::metadata::{NewJob, UploadRow};
use crate::source::{SourceUrl, address_policy, connect, providers, risks};
use crate::util::format::bytes;
use crate::wire::{ImportRequest, JobAnswer, PROJECT_IMPORT, PreflightAnswer, PreflightRequest, Project};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Check a live source without importing it
#[utoipa::path(post, path = "/v1/projects/{id}/imports/preflight", tag = "imports",
    request_body = PreflightRequest, responses((status = 200, body = PreflightAnswer), ErrorResponses))]
pub(super) async fn preflight(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<PreflightRequest>,
) -> JsonResult<PreflightAnswer> {
    let row = visible_project(&api, &caller, &id).await?;
    let url = source(&request.source_url, request.source_ca.as_deref())?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let _look = api.admission.inspections.take(&caller.key_id).await?;
    let session = connect::connect(&url, api.core.allow_private_sources).await;
    let session = session.map_err(|error| ErrorResponse::bad_request(error.to_string()))?;
    let found = risks::inspect_fully(&session, &url, api.core.allow_private_sources).await;
    let (facts, risks) = found.map_err(|error| ErrorResponse::bad_request(format!("{error:#}")))?;
    let database = &row.project.database_name;
    let target = api.core.target.facts(database, &risks, request.recreate, request.allow_empty).await?;
    let preflight = grade_source(facts, &risks, &api.core.limits(&row.project), &target);
    Ok(Json(PreflightAnswer { preflight }))
}

/// Start an import from a live source or from an uploaded dump
#[utoipa::path(post, path = "/v1/projects/{id}/imports", tag = "imports",
    request_body = ImportRequest, responses((status = 202, body = JobAnswer), ErrorResponses))]
pub(super) async fn start(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<ImportRequest>,
) -> Result<(StatusCode, Json<JobAnswer>), ErrorResponse> {
    let row = visible_project(&api, &caller, &id).await?;
    if !request.confirm {
        return Err(ErrorResponse::bad_request(
            "an import writes to the project's database: set confirm: true to start it",
        ));
    }
    check_ready(&row)?;
    if let Some(name) = &request.source_encoding {
        let problem = match (name.parse::<SourceEncoding>(), &request.upload_key) {
            (Err(problem), _) => Some(problem.to_string()),
            (Ok(_), None) => Some("applies only to uploaded dumps".to_owned()),
            (Ok(_), Some(_)) => None,
        };
        if let Some(problem) = problem {
            return Err(ErrorResponse::bad_request(format!("source_encoding: {problem}")));
        }
    }
    let mut stored = request.clone();
    let secret = match (stored.source_url.take(), &request.upload_key) {
        (Some(url), None) => Some(api.core.secret_box.seal(source(&url, request.source_ca.as_deref())?.expose())?),
        (None, Some(key)) => {
            check_upload(&api, &row.project, key).await?;
            None
        }
        _ => return Err(ErrorResponse::bad_request("send exactly one of source_url and upload_key")),
    };
    let new = NewJob {
        kind: PROJECT_IMPORT,
        organization_id: &caller.organization.id,
        project_id: &row.project.id,
        request: serde_json::to_value(&stored).map_err(anyhow::Error::from)?,
        secret,
    };
    let Some(job) = api.core.store.create_job(&new).await? else {
        let jobs = api.core.store.jobs(&row.project.id, 25).await?;
        let running = jobs.iter().find(|job| job.kind == PROJECT_IMPORT && !job.state.is_final());
        return Err(ErrorResponse::import_running(running.map(|job| job.id.as_str())));
    };
    api.core.wakeups.wake_workers();
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job })))
}

/// Size of an uploaded object in bytes, if it exists. A bucket sends no event, so it is queried.
async fn arrived(api: &ApiState, upload: &UploadRow) -> Result<Option<u64>, ErrorResponse> {
    if upload.size.is_some() || upload.in_parts.is_some() {
        return Ok(upload.size);
    }
    let size = api.core.objects.size(&upload.object_key).await.map_err(anyhow::Error::from)?;
    if let Some(size) = size {
        api.core.store.finish_upload(&upload.object_key, size).await?;
    }
    Ok(size)
}

/// The normalized URL, or why it cannot be used.
fn source(text: &str, authorities: Option<&str>) -> Result<SourceUrl, ErrorResponse> {
    let url = SourceUrl::parse(text).map_err(|problem| ErrorResponse::bad_request(problem.to_string()))?;
    let url = match authorities {
        Some(pem) => url
            .with_authorities(pem)
            .ok_or_else(|| ErrorResponse::bad_request("source_ca: no valid certificate in PEM format"))?,
        None => url,
    };
    let advice = providers::advise(&url);
    match (advice.problem(), advice.fix()) {
        (Some(problem), Some(fix)) => Err(ErrorResponse::bad_request(format!("{problem}; {fix}"))),
        _ => Ok(address_policy::normalized(url).0),
    }
}

async fn check_upload(api: &ApiState, project: &Project, key: &str) -> Result<(), ErrorResponse> {
    let upload = api.core.store.upload(key).await?.filter(|upload| upload.project_id == project.id);
    let Some(size) = (match upload {
        Some(upload) => arrived(api, &upload).await?,
        None => None,
    }) else {
        return Err(ErrorResponse::bad_request("unknown upload_key: the project has no such upload"));
    };
    if size > project.storage_limit_bytes {
        let (size, limit) = (bytes(size), bytes(project.storage_limit_bytes));
        return Err(ErrorResponse::too_large(format!("the dump is {size}, over the plan limit of {limit}")));
    }
    Ok(())
}
