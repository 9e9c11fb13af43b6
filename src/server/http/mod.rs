//! The API: routes, keys, errors.

mod auth;
mod body;
mod database;
mod error;
mod health;
mod imports;
mod integrations;
mod jobs;
mod limits;
mod login;
mod openapi;
mod panel;
mod projects;
mod serve;
mod site;
mod storage;
mod uploads;
mod webhooks;

use super::App;
use crate::wire::{Me, Organization, Principal, Status};
use auth::Authorized;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, put};
use axum::{Json, Router};
use error::Refused;
pub(super) use limits::Admission;
use openapi::Refusals;
pub(super) use projects::slug_of;
pub(super) use serve::serve;
pub(super) use site::Site;
use std::sync::Arc;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

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
    let (api, document) = OpenApiRouter::with_openapi(openapi::about())
        .routes(routes!(status))
        .routes(routes!(openapi::document))
        .routes(routes!(login::begin))
        .routes(without_head(routes!(login::state)))
        .layer(counted.clone())
        .routes(routes!(me))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::show))
        .routes(routes!(projects::connections))
        .routes(routes!(database::extensions))
        .routes(routes!(database::sql))
        .routes(routes!(imports::start))
        .routes(routes!(imports::preflight))
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::show, uploads::abort))
        .routes(routes!(uploads::parts))
        .merge(OpenApiRouter::new().routes(routes!(uploads::complete)).layer(DefaultBodyLimit::max(LONGEST_LIST)))
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
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(limits::in_time))
        .route("/objects/{*key}", put(storage::receive).layer(DefaultBodyLimit::disable()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), health::watched));
    let pages = Router::new()
        .route("/dashboard/cli/login", get(login::page).post(login::decide))
        .merge(panel::routes())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(limits::in_time))
        .fallback(nothing_here)
        .layer(counted);
    let known_host = from_fn_with_state(app.clone(), limits::known_host);
    // Those who watch over a process know it by its address.
    let all = Router::new().nest(BASE, api).merge(pages).layer(known_host).merge(health::routes());
    all.layer(map_response(guarded)).with_state(app)
}

/// A call that must not be made by those who only want to know whether it could be.
fn without_head(call: UtoipaMethodRouter<Arc<App>>) -> UtoipaMethodRouter<Arc<App>> {
    let (schemas, paths, methods) = call;
    (schemas, paths, methods.head(wrong_method))
}

/// What a process answers that only works.
pub(super) fn health_router(app: Arc<App>) -> Router {
    health::routes().fallback(nothing_here).with_state(app)
}

/// What a browser must not do with an answer, unless it says otherwise itself.
async fn guarded(mut response: Response) -> Response {
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

async fn nothing_here() -> Refused {
    Refused::not_found("there is nothing at this address")
}

async fn wrong_method() -> Refused {
    Refused::method()
}

/// How the service is
#[utoipa::path(get, path = "/status", tag = "service", security(()),
    responses((status = 200, body = Status), Refusals))]
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

/// Whose key this is
#[utoipa::path(get, path = "/v1/me", tag = "account",
    responses((status = 200, body = Me), Refusals))]
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
