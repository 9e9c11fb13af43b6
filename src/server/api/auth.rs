use super::error::ErrorResponse;
use super::limits::{COST_READ, peer};
use super::state::ApiState;
use crate::server::metadata::{Caller, ProjectRow, ProjectState};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;

/// The scope of keys that may look.
const READ: &str = "projects:read";
/// The scope of keys that may change something.
pub(super) const WRITE: &str = "projects:write";

/// The holder of the key that a call brings.
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
            return Err(ErrorResponse::unauthorized("an API key is needed: Authorization: Bearer capy_live_…"));
        };
        let Some(caller) = api.core.store.caller(key).await? else {
            api.admission.rate.anonymous(peer(api, &parts.headers, &parts.extensions))?;
            return Err(ErrorResponse::unauthorized("the API key is not valid"));
        };
        api.admission.rate.key(&caller.key_id, COST_READ)?;
        let reads = parts.method.is_safe() && caller.may(READ);
        if !reads && !caller.may(WRITE) {
            return Err(ErrorResponse::forbidden("this key may not do that: it lacks the scope"));
        }
        Ok(Self(caller))
    }
}

/// The project of a path, if the caller may see it. One that it may not see does not exist.
pub(super) async fn visible_project(api: &ApiState, caller: &Caller, id: &str) -> Result<ProjectRow, ErrorResponse> {
    let row = api.core.store.project(id).await?;
    row.filter(|row| {
        row.project.organization_id == caller.organization.id
            && caller.project_id.as_ref().is_none_or(|only| *only == row.project.id)
    })
    .ok_or_else(|| ErrorResponse::not_found("there is no such project"))
}

/// Refuses a call that needs the database of a project that has none yet.
pub(super) fn check_ready(row: &ProjectRow) -> Result<(), ErrorResponse> {
    match row.state {
        ProjectState::Ready => Ok(()),
        state => Err(ErrorResponse::conflict(format!("the project is {}, not ready", state.as_str()))),
    }
}
