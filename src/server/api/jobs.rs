//! Job endpoints: get, cancel, list.

use super::auth::{Authorized, visible_project};
use super::body::{Path, Query};
use super::error::ErrorResponse;
use super::openapi::ErrorResponses;
use super::{JsonResult, SharedState};
use crate::wire::{JobAnswer, JobList, PROJECT_IMPORT};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Pagination of a list.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Maximum number of items (default 25); values above 200 mean 200
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: Option<String>,
}

impl Paging {
    pub(super) fn limit(&self) -> Result<i64, ErrorResponse> {
        match self.limit.as_deref().map(str::parse) {
            None => Ok(25),
            Some(Ok(limit @ 1_i64..)) => Ok(limit.min(200)),
            Some(_) => Err(ErrorResponse::bad_request("limit must be a positive integer")),
        }
    }
}

/// Get a job
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    responses((status = 200, body = JobAnswer), ErrorResponses))]
pub(super) async fn show(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> JsonResult<JobAnswer> {
    let none = || ErrorResponse::not_found("job not found");
    let job = api.core.store.job(&id).await?.ok_or_else(none)?;
    let project = job.project_id.clone().unwrap_or_default();
    visible_project(&api, &caller, &project).await.map_err(|refused| refused.or_not_found("job not found"))?;
    Ok(Json(JobAnswer { job }))
}

/// Cancel an import
///
/// The target stays unchanged.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    responses((status = 202, body = JobAnswer), ErrorResponses))]
pub(super) async fn cancel(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobAnswer>), ErrorResponse> {
    let Json(JobAnswer { job }) = show(State(api.clone()), Authorized(caller.clone()), Path(id)).await?;
    if job.kind != PROJECT_IMPORT {
        return Err(ErrorResponse::conflict("only imports can be cancelled"));
    }
    let accepted = api.core.store.cancel_job(&job.id).await?;
    api.core.wakeups.wake_outbox();
    let job = api.core.store.job(&job.id).await?.unwrap_or(job);
    if !accepted {
        return Err(ErrorResponse::conflict(format!("the job has already {}", job.state.as_str())));
    }
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job })))
}

/// List a project's jobs, newest first
#[utoipa::path(get, path = "/v1/projects/{id}/jobs", tag = "jobs",
    params(Paging), responses((status = 200, body = JobList), ErrorResponses))]
pub(super) async fn list(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> JsonResult<JobList> {
    let row = visible_project(&api, &caller, &id).await?;
    let limit = paging.limit()?;
    Ok(Json(JobList { jobs: api.core.store.jobs(&row.project.id, limit).await? }))
}
