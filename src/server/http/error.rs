use crate::wire::ApiError;
use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// An answer outside 2xx, with its sentence.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    why: String,
    /// Seconds after which the caller may try again.
    retry_after: Option<u64>,
}

impl Refused {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: crate::text::printable(&why.into(), 1000), retry_after: None }
    }

    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    pub(super) fn key(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, why)
    }

    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, why)
    }

    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// The same refusal, in other words when it says that something does not exist.
    pub(super) fn or_not_found(self, why: &str) -> Self {
        if self.status == StatusCode::NOT_FOUND { Self::not_found(why) } else { self }
    }

    pub(super) fn conflict(why: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, why)
    }

    pub(super) fn too_large(why: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }

    pub(super) fn no_room(why: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, why)
    }

    /// The caller may try again after so many seconds.
    pub(super) fn too_many(why: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, why) }
    }

    /// The call was sent to another name than ours.
    pub(super) fn misdirected(why: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, why)
    }

    pub(super) fn timeout(why: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, why)
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
    }

    pub(super) fn unsupported(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
    }
}

/// What goes wrong inside is logged, and not shown to the caller.
impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("a call failed: {}", crate::text::printable(&format!("{error:#}"), 1000));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the control plane could not do this; its log says why")
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ApiError { error: self.why })).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
