//! For those who watch over the process: is it alive, can it work, what does it do.

use super::error::ErrorResponse;
use super::state::ApiState;
use super::{SharedState, method_not_allowed};
use crate::server::metrics;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::time::Instant;

/// Also answered by processes that only work.
pub(super) fn routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .method_not_allowed_fallback(method_not_allowed)
}

/// The process answers.
async fn alive() -> &'static str {
    "ok\n"
}

/// Everything that a call or a job needs is there.
async fn ready(State(api): SharedState) -> Result<&'static str, ErrorResponse> {
    if !api.core.store.is_up().await {
        return Err(ErrorResponse::unavailable("the metadata cannot be reached"));
    }
    if !api.core.target.is_up().await {
        return Err(ErrorResponse::unavailable("the server of the projects' databases cannot be reached"));
    }
    Ok("ok\n")
}

async fn numbers(State(api): SharedState) -> Result<Response, ErrorResponse> {
    let text = metrics::encode_text(&api.core).await?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// Counts every call of the API, and writes it down for those who want to see each.
pub(super) async fn record_call(State(api): SharedState, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Anything can be called a method.
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let method = known.into_iter().find(|known| request.method() == *known).unwrap_or("other");
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    api.core.metrics.called(method, &path, status, took);
    tracing::debug!(
        method,
        path,
        status,
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}
