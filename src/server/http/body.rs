use super::error::Refused;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

/// A JSON body; one that cannot be read gets a sentence in the API's own form.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Refused::unsupported("the body must be JSON, with Content-Type: application/json"))
            }
            Err(JsonRejection::JsonSyntaxError(_)) => Err(Refused::bad("the body is not valid JSON")),
            // The parser's words name fields and types; it quotes values only of enums, which no body has.
            Err(JsonRejection::JsonDataError(error)) => Err(Refused::bad(sentence(&error.body_text()))),
            Err(other) if other.status() == 413 => Err(Refused::too_large("the body is too large")),
            Err(_) => Err(Refused::bad("the body could not be read")),
        }
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
    format!("the body is not right: {}", crate::text::printable(&core, 200))
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
