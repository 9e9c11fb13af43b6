//! Project endpoints: list, get, create, connection strings.

use super::auth::{Authorized, WRITE, check_ready, visible_project};
use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::{JsonResult, SharedState};
use crate::wire::{ConnectionsAnswer, CreateProject, CreateRole, Project, ProjectAnswer, ProjectCreated, ProjectList};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// List the projects that the key can access
#[utoipa::path(get, path = "/v1/projects", tag = "projects",
    responses((status = 200, body = ProjectList), ErrorResponses))]
pub(super) async fn list(State(api): SharedState, Authorized(caller): Authorized) -> JsonResult<ProjectList> {
    let rows = api.core.store.projects(&caller.organization.id, caller.project_id.as_deref()).await?;
    Ok(Json(ProjectList { projects: rows.iter().map(|row| api.core.project_view(row)).collect() }))
}

/// Get a project
#[utoipa::path(get, path = "/v1/projects/{id}", tag = "projects",
    responses((status = 200, body = ProjectAnswer), ErrorResponses))]
pub(super) async fn show(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> JsonResult<ProjectAnswer> {
    let row = visible_project(&api, &caller, &id).await?;
    let database_size_bytes = api.core.target.database_size(&row.project.database_name).await.ok();
    Ok(Json(ProjectAnswer { project: Project { database_size_bytes, ..api.core.project_view(&row) } }))
}

/// Get a project's connection strings, including passwords
#[utoipa::path(get, path = "/v1/projects/{id}/connections", tag = "projects",
    responses((status = 200, body = ConnectionsAnswer), ErrorResponses))]
pub(super) async fn connections(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> JsonResult<ConnectionsAnswer> {
    // A connection string gives write access to the database.
    if !caller.may(WRITE) {
        return Err(ErrorResponse::forbidden(format!("insufficient scope: connection strings need {WRITE}")));
    }
    let row = visible_project(&api, &caller, &id).await?;
    Ok(Json(ConnectionsAnswer { connections: api.core.connections(&row)? }))
}

/// Create a role of a project that owns nothing, and get its connection strings
///
/// Row-level security applies to it. Calling it again returns the same connection strings.
#[utoipa::path(post, path = "/v1/projects/{id}/roles", tag = "projects",
    request_body = CreateRole, responses((status = 200, body = ConnectionsAnswer), ErrorResponses))]
pub(super) async fn create_role(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    Body(wanted): Body<CreateRole>,
) -> JsonResult<ConnectionsAnswer> {
    if !caller.may(WRITE) {
        return Err(ErrorResponse::forbidden(format!("insufficient scope: connection strings need {WRITE}")));
    }
    let row = visible_project(&api, &caller, &id).await?;
    check_ready(&row)?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let name = &wanted.name;
    let is_valid = !name.is_empty() && name.len() <= 63 && !name.chars().any(char::is_control);
    if !is_valid || name.starts_with("pg_") {
        return Err(ErrorResponse::bad_request("name must have 1 to 63 printable bytes and not begin with pg_"));
    }
    let connections = api.core.application_role(&row, name).await?;
    let taken = || ErrorResponse::conflict("another role of the server has this name; choose another name");
    Ok(Json(ConnectionsAnswer { connections: connections.ok_or_else(taken)? }))
}

/// Create a project
///
/// The project is ready when its job completes.
#[utoipa::path(post, path = "/v1/projects", tag = "projects",
    request_body = CreateProject, responses((status = 202, body = ProjectCreated), ErrorResponses))]
pub(super) async fn create(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Body(wanted): Body<CreateProject>,
) -> Result<(StatusCode, Json<ProjectCreated>), ErrorResponse> {
    if caller.project_id.is_some() {
        return Err(ErrorResponse::forbidden("this key is restricted to one project and cannot create others"));
    }
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(ErrorResponse::bad_request("name must have 1 to 100 printable characters"));
    }
    let slug = wanted.slug.clone().unwrap_or_else(|| slug_of(name));
    if !is_slug(&slug) {
        return Err(ErrorResponse::bad_request(
            "slug must have 1 to 40 characters (a-z, 0-9, -) and start with a letter",
        ));
    }
    let target = api.core.target.major.to_string();
    if wanted.postgres_version.as_ref().is_some_and(|version| *version != target) {
        return Err(ErrorResponse::bad_request(format!(
            "postgres_version must be {target}, the version this control plane runs"
        )));
    }
    let environment = wanted.environment.as_deref().unwrap_or("development");
    let Some((id, job)) = api.core.create_project(&caller.organization.id, name, &slug, environment).await? else {
        return Err(ErrorResponse::conflict(format!("a project with the slug {slug} already exists")));
    };
    let row = visible_project(&api, &caller, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(ProjectCreated { project: api.core.project_view(&row), job })))
}

fn is_slug(slug: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    slug.len() <= 40 && slug.starts_with(|c: char| c.is_ascii_lowercase()) && slug.chars().all(inside)
}

/// The default slug of a name: `My App` becomes `my-app`.
pub(in crate::server) fn slug_of(name: &str) -> String {
    let description = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = description.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let slug = if slug.starts_with(|c: char| c.is_ascii_lowercase()) { slug } else { format!("p-{slug}") };
    slug.chars().take(40).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{is_slug, slug_of};

    #[test]
    fn names_are_converted_to_slugs() {
        for (name, slug) in [("My App", "my-app"), ("  Über 2 ", "ber-2"), ("2nd", "p-2nd"), ("日本", "p")] {
            assert_eq!(slug_of(name), slug);
            assert!(is_slug(&slug_of(name)), "{name}");
        }
        assert!(!is_slug("") && !is_slug("a/b") && !is_slug("Ab"));
    }
}
