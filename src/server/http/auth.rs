use super::error::Refused;
use super::limits::{CHEAP, peer};
use crate::server::App;
use crate::server::store::{Caller, ProjectRow};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;

/// The scope of keys that may look.
const READ: &str = "projects:read";
/// The scope of keys that may change something.
pub(super) const WRITE: &str = "projects:write";

/// The holder of the key that a call brings.
pub(super) struct Authorized(pub(super) Caller);

impl FromRequestParts<Arc<App>> for Authorized {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        let Some(key) = bearer.or_else(|| header("x-api-key")) else {
            return Err(Refused::key("an API key is needed: Authorization: Bearer capy_live_…"));
        };
        let Some(caller) = app.store.caller(key).await? else {
            app.admission.rate.stranger(peer(app, &parts.headers, &parts.extensions))?;
            return Err(Refused::key("the API key is not valid"));
        };
        app.admission.rate.key(&caller.key_id, CHEAP)?;
        let reads = parts.method.is_safe() && caller.may(READ);
        if !reads && !caller.may(WRITE) {
            return Err(Refused::forbidden("this key may not do that: it lacks the scope"));
        }
        Ok(Self(caller))
    }
}

/// The project of a path, if the caller may see it. One that it may not see does not exist.
pub(super) async fn visible_project(app: &App, caller: &Caller, id: &str) -> Result<ProjectRow, Refused> {
    let row = app.store.project(id).await?;
    row.filter(|row| {
        row.project.organization_id == caller.organization.id
            && caller.project_id.as_ref().is_none_or(|only| *only == row.project.id)
    })
    .ok_or_else(|| Refused::not_found("there is no such project"))
}
