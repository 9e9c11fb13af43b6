//! Errors of API calls, and whether a retry may succeed.

use crate::util::error::{innermost, tls_error};
use crate::util::format::printable;
use crate::wire::{ApiError, ErrorCode};
use std::time::Duration;

/// A failed API call.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// The kind of error, for programmatic decisions.
    pub kind: CallErrorKind,
    /// One human-readable sentence; contains no secrets.
    pub message: String,
}

/// The kind of a [`CallError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorKind {
    /// No response: DNS, connection or TLS failed.
    Transport,
    /// A response outside 2xx.
    Status(StatusError),
    /// A 2xx response that violates the API contract.
    InvalidResponse,
}

/// A response outside 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusError {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The error code, if the service sent one.
    pub code: Option<ErrorCode>,
    /// Whether the body is an API error, not a page of another server or a proxy.
    pub is_from_api: bool,
}

impl CallError {
    /// The HTTP status of a response outside 2xx.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            CallErrorKind::Status(error) => Some(error.status),
            _ => None,
        }
    }

    /// Whether the service does not have the route: the base URL is wrong, or the service is an
    /// older version or a different one.
    pub fn is_route_missing(&self) -> bool {
        let CallErrorKind::Status(error) = self.kind else { return false };
        match error.code {
            Some(code) => matches!(code, ErrorCode::RouteNotFound | ErrorCode::MethodNotAllowed),
            None => error.status == 405 || (error.status == 404 && !error.is_from_api),
        }
    }

    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            CallErrorKind::Transport => true,
            CallErrorKind::Status(error) => matches!(error.status, 408 | 429 | 500 | 502..=504 | 506..=599),
            CallErrorKind::InvalidResponse => false,
        }
    }

    /// The value of `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            CallErrorKind::Status(error) => error.retry_after,
            _ => None,
        }
    }

    pub(super) fn transport(host: &str, error: &reqwest::Error) -> Self {
        let message = if error.is_timeout() {
            format!("{host} did not respond in time")
        } else {
            format!("cannot reach {host}: {}{}", innermost(error), tls_hint(error))
        };
        Self { kind: CallErrorKind::Transport, message }
    }

    pub(super) fn invalid_response(host: &str, what: &str) -> Self {
        let message = format!("{host} sent a response that is not from the CapyDB API ({what})");
        Self { kind: CallErrorKind::InvalidResponse, message }
    }

    /// An error for a response outside 2xx, with the service's message or else the status.
    pub(super) fn rejected(host: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let error = serde_json::from_slice::<ApiError>(body).ok().filter(|error| !error.error.trim().is_empty());
        let code = error.as_ref().and_then(|error| error.code);
        let is_from_api = error.is_some();
        let message = match error {
            Some(error) => printable(&error.error, 500),
            None => format!("{host} returned {} {}", status, reason(status)).trim_end().to_owned(),
        };
        Self { kind: CallErrorKind::Status(StatusError { status, retry_after, code, is_from_api }), message }
    }
}

/// What a failed TLS handshake may mean: a server without TLS, or one with a private authority.
fn tls_hint(error: &reqwest::Error) -> &'static str {
    match tls_error(error) {
        Some(rustls::Error::InvalidMessage(_)) => "; if the server has no TLS, use http:// in the URL",
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; for a private certificate authority, set SSL_CERT_FILE to its certificate"
        }
        _ => "",
    }
}

fn reason(status: u16) -> &'static str {
    reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(status: u16, body: &str) -> CallError {
        CallError::rejected("api.example", status, None, body.as_bytes())
    }

    #[test]
    fn a_response_without_a_message_is_described_by_its_status() {
        assert_eq!(rejected(409, r#"{"error":"already running"}"#).message, "already running");
        assert_eq!(rejected(502, "<html>Bad Gateway</html>").message, "api.example returned 502 Bad Gateway");
        assert_eq!(rejected(500, "").message, "api.example returned 500 Internal Server Error");
        assert_eq!(rejected(599, "{}").message, "api.example returned 599");
    }

    #[test]
    fn a_missing_route_is_not_a_missing_resource() {
        for (status, body) in [
            (404, r#"{"error":"x","code":"route_not_found"}"#),
            (405, r#"{"error":"x","code":"method_not_allowed"}"#),
            (405, ""),
            (404, "<html>Not Found</html>"),
        ] {
            assert!(rejected(status, body).is_route_missing(), "{status} {body}");
        }
        for (status, body) in [
            (404, r#"{"error":"x","code":"resource_not_found"}"#),
            (404, r#"{"error":"x","code":"of_a_newer_service"}"#),
            (404, r#"{"error":"no such job"}"#),
            (500, ""),
        ] {
            assert!(!rejected(status, body).is_route_missing(), "{status} {body}");
        }
    }
}
