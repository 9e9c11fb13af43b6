//! Health checks, metrics and the request log.

use super::error::ErrorResponse;
use super::state::ApiState;
use super::{SharedState, method_not_allowed};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::time::Instant;

/// Routes that workers serve too.
pub(super) fn routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .method_not_allowed_fallback(method_not_allowed)
}

/// Liveness: the process answers HTTP.
async fn alive() -> &'static str {
    "ok\n"
}

/// Readiness: the metadata database and the target server are reachable.
async fn ready(State(api): SharedState) -> Result<&'static str, ErrorResponse> {
    if !api.core.store.is_up().await {
        return Err(ErrorResponse::unavailable("cannot reach the metadata database"));
    }
    if !api.core.target.is_up().await {
        return Err(ErrorResponse::unavailable("cannot reach the target server"));
    }
    Ok("ok\n")
}

async fn metrics_text(State(api): SharedState) -> Result<Response, ErrorResponse> {
    let text = api.core.metrics.encode_text(&api.core.store).await?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// Counts every API request and logs it at debug level.
pub(super) async fn record_call(State(api): SharedState, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Any token is a valid method; a fixed set bounds the metric's labels.
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let method = known.into_iter().find(|known| request.method() == *known).unwrap_or("other");
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    api.core.metrics.request_handled(method, &path, status, took);
    tracing::debug!(
        method,
        path,
        status,
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "request completed"
    );
    response
}
