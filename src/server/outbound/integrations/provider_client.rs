//! HTTP client for provider APIs: requests, responses and error messages.

use crate::server::egress;
use crate::server::metadata::DeliveryError;
use crate::wire::retry_after;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// Calls one provider for one project.
pub(super) struct ProviderClient {
    /// Name of the provider, for messages.
    pub(super) provider: &'static str,
    pub(super) http: reqwest::Client,
    pub(super) base: Url,
    pub(super) token: String,
    /// Secrets to remove from responses.
    pub(super) secrets: Vec<String>,
}

/// A provider's response.
#[derive(Debug)]
pub(super) struct ProviderResponse {
    provider: &'static str,
    pub(super) status: StatusCode,
    /// The body without secrets; `null` if it is not JSON.
    pub(super) body: Value,
    retry_after: Option<Duration>,
}

impl ProviderClient {
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<ProviderResponse, DeliveryError> {
        let provider = self.provider;
        let lost = |error: reqwest::Error| DeliveryError::transient(format!("{provider}: {}", egress::error(&error)));
        let request = self.http.request(method, address(&self.base, path, query)).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let mut answer = request.send().await.map_err(lost)?;
        let (status, retry_after, mut body) = (answer.status(), retry_after(answer.headers()), Vec::new());
        while let Some(block) = answer.chunk().await.map_err(lost)? {
            body.extend_from_slice(&block);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(DeliveryError::transient(format!("the response of {provider} is too large")));
            }
        }
        match serde_json::from_str(&without(String::from_utf8_lossy(&body).into_owned(), &self.secrets)) {
            // For instance the page of a proxy between us and the provider.
            Err(_) if status.is_success() => {
                Err(DeliveryError::transient(format!("the response of {provider} is not JSON")))
            }
            read => Ok(ProviderResponse { provider, status, body: read.unwrap_or_default(), retry_after }),
        }
    }

    /// The error for a successful response without the expected content.
    pub(super) fn unexpected(&self) -> DeliveryError {
        DeliveryError::transient(format!("unexpected response from {}", self.provider))
    }
}

impl ProviderResponse {
    /// The body of a successful response, or the error. `what` is the requested object, for messages.
    pub(super) fn into_body(self, what: &str) -> Result<Value, DeliveryError> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let Self { provider, status, body, retry_after } = self;
        let reason = ["/error/message", "/message", "/error"].iter().find_map(|path| body.pointer(path)?.as_str());
        let reason = reason.map_or_else(String::new, |text| format!(": {}", crate::util::format::printable(text, 200)));
        let message = match status.as_u16() {
            401 | 403 => format!("{provider} rejected the token (HTTP status {}){reason}", status.as_u16()),
            404 => format!("{provider} has no {what} that the token can access"),
            code => format!("{provider} returned HTTP status {code}{reason}"),
        };
        let will_retry = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        Err(DeliveryError { message, status: Some(status.as_u16()), permanent: !will_retry, retry_after })
    }
}

/// The text without secrets, in plain, URL-encoded or JSON-escaped form.
fn without(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let escaped = serde_json::to_string(secret).unwrap_or_default();
        for written in [secret.as_str(), encoded.as_str(), escaped.trim_matches('"')] {
            text = text.replace(written, "***");
        }
    }
    text
}

/// A URL below the provider's base URL.
fn address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rejection(status: StatusCode, body: Value) -> DeliveryError {
        let retry_after = Some(Duration::from_secs(9));
        ProviderResponse { provider: "Vercel", status, body, retry_after }
            .into_body("project")
            .expect_err("an error status")
    }

    #[test]
    fn provider_errors_are_reported_and_secrets_are_masked() {
        let error = rejection(StatusCode::FORBIDDEN, json!({ "error": { "message": "token T0KEN is not valid" } }));
        assert!(error.permanent);
        assert_eq!(error.message, "Vercel rejected the token (HTTP status 403): token T0KEN is not valid");
        let secrets = ["T0KEN".to_owned(), "postgres://u:p@h/d?a=b".to_owned()];
        let text = "T0KEN postgres://u:p@h/d?a=b postgres%3A%2F%2Fu%3Ap%40h%2Fd%3Fa%3Db".to_owned();
        assert_eq!(without(text, &secrets), "*** *** ***");
    }

    #[test]
    fn transient_errors_are_retried_after_the_requested_delay() {
        for status in [StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS] {
            let error = rejection(status, Value::Null);
            assert_eq!((error.permanent, error.retry_after), (false, Some(Duration::from_secs(9))));
        }
    }
}
