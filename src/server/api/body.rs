//! Extractors of requests; a malformed request gets an error in the API's format.

use super::error::ErrorResponse;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A JSON object in the request body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(ErrorResponse::unsupported_media_type(
                "the request body must be JSON (Content-Type: application/json)",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        // serde accepts an array as the fields in order; the API does not.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(ErrorResponse::bad_request("the request body must be a JSON object"));
        }
        match Json::from_bytes(&bytes) {
            Ok(Json(value)) => Ok(Self(value)),
            // The parser's message has field names and types; it quotes values of enums only, and no body has one.
            Err(JsonRejection::JsonDataError(error)) => Err(ErrorResponse::bad_request(sentence(&error.body_text()))),
            Err(_) => Err(ErrorResponse::bad_request("the request body is not valid JSON")),
        }
    }
}

/// The error for a body that was not received in full.
pub(super) fn unread(error: &BytesRejection) -> ErrorResponse {
    if error.status() == 413 {
        return ErrorResponse::too_large("the request body is too large");
    }
    ErrorResponse::bad_request("cannot read the request body")
}

/// The parameters of the path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Self(value)).map_err(|_| ErrorResponse::bad_request("invalid path"))
    }
}

/// The parameters of the query string.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        let bad = |_| ErrorResponse::bad_request("invalid query string");
        read.map(|axum::extract::Query(value)| Self(value)).map_err(bad)
    }
}

/// Shortens a serde error ("…: missing field `name` at line 1 column 2") for API callers.
fn sentence(text: &str) -> String {
    let core = text.rsplit_once(" at line ").map_or(text, |(core, _)| core);
    let core = core.rsplit_once("target type: ").map_or(core, |(_, core)| core);
    // serde quotes a value of the wrong type, which may be a secret.
    let core = match core.split_once("invalid type: ") {
        Some((field, rest)) => {
            let expected = rest.rsplit_once("expected ").map_or("another type", |(_, expected)| expected);
            format!("{field}expected {expected}")
        }
        None => core.to_owned(),
    };
    // serde uses Rust's type names.
    let plain =
        [("u32", "an integer >= 0"), ("u64", "an integer >= 0"), ("a map", "an object"), ("a sequence", "an array")];
    let core = plain.iter().fold(core, |core, (word, meant)| match core.strip_suffix(&format!("expected {word}")) {
        Some(field) => format!("{field}expected {meant}"),
        None => core,
    });
    format!("invalid request body: {}", crate::util::format::printable(&core, 200))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn error_messages_quote_no_value() {
        let text = "Failed to deserialize the JSON body into the target type: source_url: invalid type: sequence, expected a string at line 1 column 16";
        assert_eq!(sentence(text), "invalid request body: source_url: expected a string");
        let text = "Failed to deserialize the JSON body into the target type: confirm: invalid type: string \"CANARY\", expected a boolean at line 1 column 16";
        assert_eq!(sentence(text), "invalid request body: confirm: expected a boolean");
        let text = "Failed to deserialize the JSON body into the target type: missing field `name` at line 1 column 2";
        assert_eq!(sentence(text), "invalid request body: missing field `name`");
    }
}
