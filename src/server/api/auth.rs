//! Authentication by API key, and access to projects.

use super::error::ErrorResponse;
use super::limits::{COST_READ, peer};
use super::state::ApiState;
use crate::server::metadata::{Caller, ProjectRow, ProjectState};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;

/// Scope for read requests.
const READ: &str = "projects:read";
/// Scope for all requests.
pub(super) const WRITE: &str = "projects:write";

/// The holder of the request's API key.
pub(super) struct Authorized(pub(super) Caller);

impl FromRequestParts<Arc<ApiState>> for Authorized {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, ErrorResponse> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        let Some(key) = bearer.or_else(|| header("x-api-key")) else {
            return Err(ErrorResponse::unauthorized("API key required: send Authorization: Bearer capy_live_…"));
        };
        let Some(caller) = api.core.store.caller(key).await? else {
            api.admission.rate.anonymous(peer(api, &parts.headers, &parts.extensions))?;
            return Err(ErrorResponse::unauthorized("invalid API key"));
        };
        api.admission.rate.key(&caller.key_id, COST_READ)?;
        let reads = parts.method.is_safe() && caller.may(READ);
        if !reads && !caller.may(WRITE) {
            let scope = if parts.method.is_safe() { READ } else { WRITE };
            return Err(ErrorResponse::forbidden(format!("insufficient scope: needs {scope}")));
        }
        Ok(Self(caller))
    }
}

/// The project with this id; "not found" also when the caller may not see it.
pub(super) async fn visible_project(api: &ApiState, caller: &Caller, id: &str) -> Result<ProjectRow, ErrorResponse> {
    let row = api.core.store.project(id).await?;
    row.filter(|row| {
        row.project.organization_id == caller.organization.id
            && caller.project_id.as_ref().is_none_or(|only| *only == row.project.id)
    })
    .ok_or_else(|| ErrorResponse::not_found("project not found"))
}

/// Rejects a request that needs the project's database before it exists.
pub(super) fn check_ready(row: &ProjectRow) -> Result<(), ErrorResponse> {
    match row.state {
        ProjectState::Ready => Ok(()),
        state => Err(ErrorResponse::conflict(format!("the project is not ready (state: {})", state.as_str()))),
    }
}
