//! The API: routes, keys, errors.

mod auth;
mod body;
mod error;
mod imports;
mod jobs;
mod limits;
mod login;
mod projects;
mod serve;
mod storage;
mod uploads;

use super::App;
use crate::wire::{Me, Organization, Principal, Status};
use auth::Authorized;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use error::Refused;
pub(super) use limits::{Looks, RateLimits};
pub(super) use serve::serve;
use std::sync::Arc;

/// Everything of the API lies below this path, as at the hosted service.
pub(super) const BASE: &str = "/api/capydb";

/// No request of the API is larger, uploads aside. In bytes.
const LONGEST_BODY: usize = 64 << 10;

/// A list of 10,000 parts with their checksums is not longer. In bytes.
const LONGEST_LIST: usize = 2 << 20;

type Shared = State<Arc<App>>;
type Answer<T> = Result<Json<T>, Refused>;

/// The whole service.
pub(super) fn router(app: Arc<App>) -> Router {
    let counted = from_fn_with_state(app.clone(), limits::counted);
    let api = Router::new()
        .route("/status", get(status))
        .route("/v1/cli/login/sessions", post(login::begin))
        .route("/v1/cli/login/sessions/{id}", get(login::state).head(wrong_method))
        .layer(counted.clone())
        .route("/v1/me", get(me))
        .route("/v1/projects", get(projects::list).post(projects::create))
        .route("/v1/projects/{id}", get(projects::show))
        .route("/v1/projects/{id}/connections", get(projects::connections))
        .route("/v1/projects/{id}/imports", post(imports::start))
        .route("/v1/projects/{id}/imports/preflight", post(imports::preflight))
        .route("/v1/projects/{id}/imports/uploads", post(uploads::begin))
        .route("/v1/projects/{id}/imports/uploads/{upload}", get(uploads::show).delete(uploads::abort))
        .route("/v1/projects/{id}/imports/uploads/{upload}/parts", post(uploads::parts))
        .route(
            "/v1/projects/{id}/imports/uploads/{upload}/complete",
            post(uploads::complete).layer(DefaultBodyLimit::max(LONGEST_LIST)),
        )
        .route("/v1/projects/{id}/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(limits::in_time))
        .route("/objects/{*key}", put(storage::receive).layer(DefaultBodyLimit::disable()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method);
    let pages = Router::new()
        .route("/dashboard/cli/login", get(login::page).post(login::decide))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(limits::in_time))
        .fallback(nothing_here)
        .layer(counted);
    let known_host = from_fn_with_state(app.clone(), limits::known_host);
    Router::new().nest(BASE, api).merge(pages).layer(known_host).with_state(app)
}

async fn nothing_here() -> Refused {
    Refused::not_found("there is nothing at this address")
}

async fn wrong_method() -> Refused {
    Refused::method()
}

async fn status(State(app): Shared) -> Json<Status> {
    let now = jiff::Timestamp::now().to_string();
    let status = if app.store.is_up().await { "operational" } else { "degraded" };
    Json(Status {
        service: "capydb".into(),
        status: status.into(),
        components: Vec::new(),
        generated_at: now.clone(),
        updated_at: now,
    })
}

async fn me(Authorized(caller): Authorized) -> Json<Me> {
    let Organization { id, .. } = &caller.organization;
    let principal = Principal {
        auth_source: "api_key".into(),
        organization_id: Some(id.clone()),
        scopes: caller.scopes,
        is_admin: false,
        user_id: None,
    };
    Json(Me { principal, organization: Some(caller.organization) })
}
