//! The HTTP API: routes and shared types.

mod auth;
mod body;
mod database;
mod error;
mod health;
mod host;
mod imports;
mod integrations;
mod jobs;
mod limits;
mod login;
mod object_put;
mod openapi;
mod panel;
mod projects;
mod serve;
mod state;
mod uploads;
mod webhooks;

use crate::wire::{Me, Organization, Principal, Status};
use auth::Authorized;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use error::ErrorResponse;
pub(super) use host::ApiHost;
pub(super) use limits::Admission;
use openapi::ErrorResponses;
pub(super) use projects::slug_of;
pub(super) use serve::serve;
pub(super) use state::ApiState;
use std::sync::Arc;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

/// Base path of the API, as at the hosted service.
pub(super) const BASE: &str = "/api/capydb";

/// Maximum request body in bytes, except uploads.
const MAX_BODY: usize = 64 << 10;

/// Maximum body of a request about a source in bytes: fits the certificate authorities of a provider.
const MAX_IMPORT: usize = 1 << 20;

/// Maximum body of a complete-upload request in bytes: fits 10,000 parts with checksums.
const MAX_PART_LIST: usize = 2 << 20;

type SharedState = State<Arc<ApiState>>;
type JsonResult<T> = Result<Json<T>, ErrorResponse>;

/// All routes of an API process.
pub(super) fn router(state: Arc<ApiState>) -> Router {
    let rate_limit = from_fn_with_state(state.clone(), limits::rate_limit);
    let (api, document) = OpenApiRouter::with_openapi(openapi::base_document())
        .routes(routes!(status))
        .routes(routes!(openapi::document))
        .routes(routes!(login::begin))
        .routes(without_head(routes!(login::state)))
        .layer(rate_limit.clone())
        .routes(routes!(me))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::show))
        .routes(routes!(projects::connections))
        .routes(routes!(projects::create_role))
        .routes(routes!(database::extensions))
        .routes(routes!(database::sql))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(imports::start))
                .routes(routes!(imports::preflight))
                .layer(DefaultBodyLimit::max(MAX_IMPORT)),
        )
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::show, uploads::abort))
        .routes(routes!(uploads::parts))
        .merge(OpenApiRouter::new().routes(routes!(uploads::complete)).layer(DefaultBodyLimit::max(MAX_PART_LIST)))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(integrations::list))
        .routes(routes!(integrations::connect, integrations::disconnect))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::update, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::test))
        .split_for_parts();
    openapi::remember(document);
    let api = api
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(limits::time_limit))
        .route("/objects/{*key}", put(object_put::receive).layer(DefaultBodyLimit::disable()))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), health::record_call));
    let pages = Router::new()
        .route("/dashboard/cli/login", get(login::page).post(login::decide))
        .merge(panel::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(limits::time_limit))
        .fallback(not_found)
        .layer(rate_limit);
    let check_host = from_fn_with_state(state.clone(), limits::check_host);
    // Monitoring addresses a process by its IP address, so health routes skip the host check.
    let all = Router::new().nest(BASE, api).merge(pages).layer(check_host).merge(health::routes());
    all.layer(map_response(security_headers)).with_state(state)
}

/// Rejects `HEAD`, which axum would route to the `GET` handler with its side effects.
fn without_head(call: UtoipaMethodRouter<Arc<ApiState>>) -> UtoipaMethodRouter<Arc<ApiState>> {
    let (schemas, paths, methods) = call;
    (schemas, paths, methods.head(method_not_allowed))
}

/// Routes of a worker: health and metrics.
pub(super) fn health_router(state: Arc<ApiState>) -> Router {
    health::routes().fallback(not_found).with_state(state)
}

/// Adds restrictive security headers that the handler did not set.
async fn security_headers(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn not_found() -> ErrorResponse {
    ErrorResponse::route_not_found()
}

async fn method_not_allowed() -> ErrorResponse {
    ErrorResponse::method_not_allowed()
}

/// Get the service status
#[utoipa::path(get, path = "/status", tag = "service", security(()),
    responses((status = 200, body = Status), ErrorResponses))]
async fn status(State(api): SharedState) -> Json<Status> {
    let now = jiff::Timestamp::now().to_string();
    let status = if api.core.store.is_up().await { "operational" } else { "degraded" };
    Json(Status {
        service: "capydb".into(),
        status: status.into(),
        components: Vec::new(),
        generated_at: now.clone(),
        updated_at: now,
    })
}

/// Get the current key and its organization
#[utoipa::path(get, path = "/v1/me", tag = "account",
    responses((status = 200, body = Me), ErrorResponses))]
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
