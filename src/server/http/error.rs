use crate::wire::ApiError;
use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// An answer outside 2xx, with its sentence.
#[derive(Debug)]
pub(super) struct Refused(StatusCode, String);

impl Refused {
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }

    pub(super) fn key(why: impl Into<String>) -> Self {
        Self(StatusCode::UNAUTHORIZED, why.into())
    }

    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, why.into())
    }

    /// The same refusal, in other words when it says that something does not exist.
    pub(super) fn or_not_found(self, why: &str) -> Self {
        if self.0 == StatusCode::NOT_FOUND { Self::not_found(why) } else { self }
    }

    pub(super) fn conflict(why: impl Into<String>) -> Self {
        Self(StatusCode::CONFLICT, why.into())
    }

    pub(super) fn too_large(why: impl Into<String>) -> Self {
        Self(StatusCode::PAYLOAD_TOO_LARGE, why.into())
    }

    /// The caller may try again after [`RETRY_AFTER`].
    pub(super) fn too_many(why: impl Into<String>) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, why.into())
    }

    pub(super) fn method() -> Self {
        Self(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method".into())
    }

    pub(super) fn unsupported(why: impl Into<String>) -> Self {
        Self(StatusCode::UNSUPPORTED_MEDIA_TYPE, why.into())
    }
}

/// What goes wrong inside is logged, and not shown to the caller.
impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("a call failed: {error:#}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "the control plane could not do this; its log says why".into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(ApiError { error: self.1 })).into_response();
        if self.0 == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}
