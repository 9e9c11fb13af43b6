use super::auth::{Authorized, visible_project};
use super::error::Refused;
use super::{Answer, Shared};
use crate::wire::{JobAnswer, JobList, PROJECT_IMPORT};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;

#[derive(serde::Deserialize)]
pub(super) struct Paging {
    limit: Option<String>,
}

pub(super) async fn show(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> Answer<JobAnswer> {
    let none = || Refused::not_found("there is no such job");
    let job = app.store.job(&id).await?.ok_or_else(none)?;
    let project = job.project_id.clone().unwrap_or_default();
    visible_project(&app, &caller, &project).await.map_err(|refused| refused.or_not_found("there is no such job"))?;
    Ok(Json(JobAnswer { job }))
}

pub(super) async fn cancel(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<JobAnswer>), Refused> {
    let Json(JobAnswer { job }) = show(State(app.clone()), Authorized(caller.clone()), Path(id)).await?;
    if job.kind != PROJECT_IMPORT {
        return Err(Refused::conflict("only imports can be cancelled"));
    }
    let accepted = app.store.cancel_job(&job.id).await?;
    let job = app.store.job(&job.id).await?.unwrap_or(job);
    if !accepted {
        return Err(Refused::conflict(format!("the job is over: it {}", job.state.as_str())));
    }
    Ok((StatusCode::ACCEPTED, Json(JobAnswer { job })))
}

pub(super) async fn list(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<JobList> {
    let row = visible_project(&app, &caller, &id).await?;
    let limit = match paging.limit {
        None => 25,
        Some(text) => match text.parse() {
            Ok(limit @ 1_i64..) => limit.min(200),
            _ => return Err(Refused::bad("limit must be a number from 1")),
        },
    };
    Ok(Json(JobList { jobs: app.store.jobs(&row.project.id, limit).await? }))
}
