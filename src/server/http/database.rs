//! Looking into a project's database.

use super::auth::{Authorized, WRITE, visible_project};
use super::body::{Body, Path};
use super::error::Refused;
use super::limits::DEAR;
use super::openapi::Refusals;
use super::{Answer, Shared};
use crate::server::database::{self, Login, QueryError};
use crate::wire::{ProjectExtensionList, SqlAnswer, SqlRequest};
use axum::Json;
use axum::extract::State;

/// The extensions that a project has or can have
#[utoipa::path(get, path = "/v1/projects/{id}/extensions", tag = "projects",
    responses((status = 200, body = ProjectExtensionList), Refusals))]
pub(super) async fn extensions(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> Answer<ProjectExtensionList> {
    let project = visible_project(&app, &caller, &id).await?.project;
    if project.state != "ready" {
        return Err(Refused::conflict(format!("the project is {}, not ready", project.state)));
    }
    app.admission.rate.key(&caller.key_id, DEAR)?;
    Ok(Json(ProjectExtensionList { extensions: database::extensions(&app.target, &project.database_name).await? }))
}

/// Run one SQL statement as the project's own role, for at most 30 seconds
#[utoipa::path(post, path = "/v1/projects/{id}/sql", tag = "projects",
    request_body = SqlRequest, responses((status = 200, body = SqlAnswer), Refusals))]
pub(super) async fn sql(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(request): Body<SqlRequest>,
) -> Answer<SqlAnswer> {
    // Rows are more than what a key that may look at projects was made for.
    if !caller.may(WRITE) {
        return Err(Refused::forbidden("this key may not look into databases: it lacks the scope"));
    }
    let row = visible_project(&app, &caller, &id).await?;
    if row.project.state != "ready" {
        return Err(Refused::conflict(format!("the project is {}, not ready", row.project.state)));
    }
    app.admission.rate.key(&caller.key_id, DEAR)?;
    let _place = app.admission.queries.take(&caller.key_id).await?;
    let password = app.sealer.open(&row.role_password)?;
    let login = Login { database: &row.project.database_name, role: &row.project.role_name, password: &password };
    match database::query(&app.target, &login, &request).await {
        Ok(result) => Ok(Json(SqlAnswer { result })),
        Err(QueryError::Statement(why)) => Err(Refused::bad(why)),
        Err(QueryError::TooLong(why)) => Err(Refused::timeout(why)),
        Err(QueryError::Changed(why)) => Err(Refused::conflict(why)),
        Err(QueryError::Unreachable(why)) => Err(Refused::unavailable(why)),
    }
}
