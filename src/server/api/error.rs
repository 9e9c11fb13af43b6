//! Error responses of the API.

use crate::wire::{ApiError, ErrorCode};
use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// An error response: status, message, optional code.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    status: StatusCode,
    code: Option<ErrorCode>,
    message: String,
    /// Seconds after which the caller may try again.
    retry_after: Option<u64>,
}

impl ErrorResponse {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: None, message: crate::util::format::printable(&message.into(), 1000), retry_after: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    fn coded(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(status, message) }
    }

    /// The resource of the path does not exist, or the key cannot see it.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::coded(StatusCode::NOT_FOUND, ErrorCode::ResourceNotFound, message)
    }

    /// The API has no such path.
    pub(super) fn route_not_found() -> Self {
        Self::coded(StatusCode::NOT_FOUND, ErrorCode::RouteNotFound, "not found: the API has no such path")
    }

    /// An import of the project is running.
    pub(super) fn import_running(job: Option<&str>) -> Self {
        let job = job.map_or_else(String::new, |job| format!(" (job {job})"));
        let message = format!("an import of this project is already running{job}; wait until it finishes");
        Self::coded(StatusCode::CONFLICT, ErrorCode::ImportRunning, message)
    }

    /// The same error; a 404 gets this message instead.
    pub(super) fn or_not_found(self, message: &str) -> Self {
        if self.status == StatusCode::NOT_FOUND { Self::not_found(message) } else { self }
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(super) fn insufficient_storage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, message)
    }

    /// The caller may retry after `seconds`.
    pub(super) fn too_many_requests(message: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// The `Host` of the request is not a name of this API.
    pub(super) fn misdirected(message: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, message)
    }

    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::coded(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, "method not allowed for this path")
    }

    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }
}

/// Internal errors are logged, not returned to the caller.
impl From<anyhow::Error> for ErrorResponse {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("request failed: {}", crate::util::format::printable(&format!("{error:#}"), 1000));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the control plane's log")
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ApiError { error: self.message, code: self.code })).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
