//! Reading calls. What cannot be read gets a sentence in the API's own form.

use super::error::ErrorResponse;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A JSON object in the body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(ErrorResponse::unsupported_media_type(
                "the body must be JSON, with Content-Type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        // A list would be read as the fields in their order, which nobody means.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(ErrorResponse::bad_request("the body must be a JSON object"));
        }
        match Json::from_bytes(&bytes) {
            Ok(Json(value)) => Ok(Self(value)),
            // The parser's words name fields and types; it quotes values only of enums, which no body has.
            Err(JsonRejection::JsonDataError(error)) => Err(ErrorResponse::bad_request(sentence(&error.body_text()))),
            Err(_) => Err(ErrorResponse::bad_request("the body is not valid JSON")),
        }
    }
}

/// A body that did not arrive.
pub(super) fn unread(error: &BytesRejection) -> ErrorResponse {
    if error.status() == 413 {
        return ErrorResponse::too_large("the body is too large");
    }
    ErrorResponse::bad_request("the body could not be read")
}

/// The variable parts of the address.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| ErrorResponse::bad_request("the address cannot be read"))
    }
}

/// What stands behind the `?` of the address.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        let bad = |_| ErrorResponse::bad_request("what stands behind the ? of the address cannot be read");
        read.map(|axum::extract::Query(value)| Self(value)).map_err(bad)
    }
}

/// "…: missing field `name` at line 1 column 2" without what only a programmer wants.
fn sentence(text: &str) -> String {
    let core = text.rsplit_once(" at line ").map_or(text, |(core, _)| core);
    let core = core.rsplit_once("target type: ").map_or(core, |(_, core)| core);
    // A value of the wrong type is quoted, and it may be a secret.
    let core = match core.split_once("invalid type: ") {
        Some((field, rest)) => {
            let expected = rest.rsplit_once("expected ").map_or("another type", |(_, expected)| expected);
            format!("{field}expected {expected}")
        }
        None => core.to_owned(),
    };
    // The parser names types as its own language does.
    let plain =
        [("u32", "a number from 0"), ("u64", "a number from 0"), ("a map", "an object"), ("a sequence", "a list")];
    let core = plain.iter().fold(core, |core, (word, meant)| match core.strip_suffix(&format!("expected {word}")) {
        Some(field) => format!("{field}expected {meant}"),
        None => core,
    });
    format!("the body is not right: {}", crate::util::format::printable(&core, 200))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_sentence_quotes_no_value() {
        let text = "Failed to deserialize the JSON body into the target type: source_url: invalid type: sequence, expected a string at line 1 column 16";
        assert_eq!(sentence(text), "the body is not right: source_url: expected a string");
        let text = "Failed to deserialize the JSON body into the target type: confirm: invalid type: string \"CANARY\", expected a boolean at line 1 column 16";
        assert_eq!(sentence(text), "the body is not right: confirm: expected a boolean");
        let text = "Failed to deserialize the JSON body into the target type: missing field `name` at line 1 column 2";
        assert_eq!(sentence(text), "the body is not right: missing field `name`");
    }
}
