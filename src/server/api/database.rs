//! Endpoints that query a project's database.

use super::auth::{Authorized, WRITE, check_ready, visible_project};
use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::{JsonResult, SharedState};
use crate::server::target::query::{self, QueryError, RoleLogin};
use crate::wire::{ProjectExtensionList, SqlAnswer, SqlRequest};
use axum::Json;
use axum::extract::State;

/// List a project's installed and available extensions
#[utoipa::path(get, path = "/v1/projects/{id}/extensions", tag = "projects",
    responses((status = 200, body = ProjectExtensionList), ErrorResponses))]
pub(super) async fn extensions(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> JsonResult<ProjectExtensionList> {
    let row = visible_project(&api, &caller, &id).await?;
    check_ready(&row)?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    Ok(Json(ProjectExtensionList {
        extensions: query::extensions(&api.core.target, &row.project.database_name).await?,
    }))
}

/// Run one SQL statement
///
/// Runs as the project's own role, for at most 30 seconds.
#[utoipa::path(post, path = "/v1/projects/{id}/sql", tag = "projects",
    request_body = SqlRequest, responses((status = 200, body = SqlAnswer), ErrorResponses))]
pub(super) async fn sql(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<SqlRequest>,
) -> JsonResult<SqlAnswer> {
    // Read access to projects does not include their rows.
    if !caller.may(WRITE) {
        return Err(ErrorResponse::forbidden(format!("insufficient scope: SQL needs {WRITE}")));
    }
    let row = visible_project(&api, &caller, &id).await?;
    check_ready(&row)?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let _place = api.admission.queries.take(&caller.key_id).await?;
    let password = api.core.secret_box.open(&row.role_password)?;
    let login = RoleLogin { database: &row.project.database_name, role: &row.project.role_name, password: &password };
    match query::query(&api.core.target, &login, &request).await {
        Ok(result) => Ok(Json(SqlAnswer { result })),
        Err(QueryError::Statement(message)) => Err(ErrorResponse::bad_request(message)),
        Err(QueryError::TooLong(message)) => Err(ErrorResponse::timeout(message)),
        Err(QueryError::Changed(message)) => Err(ErrorResponse::conflict(message)),
        Err(QueryError::Unreachable(message)) => Err(ErrorResponse::unavailable(message)),
    }
}
