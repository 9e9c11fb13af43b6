use crate::util::error::innermost;
use crate::wire::ApiError;
use std::time::Duration;

/// A call that did not give what it should.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind of trouble, for those who decide on it.
    pub cause: Cause,
    /// One sentence for people; holds no secret.
    pub message: String,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No answer: name, connection, TLS, or the connection broke.
    Transport,
    /// An answer of this HTTP status, outside 2xx.
    Status(u16, Option<Duration>),
    /// A 2xx answer that is not what the contract says.
    Garbled,
}

impl CallError {
    /// Whether the same call may work a little later.
    pub fn is_transient(&self) -> bool {
        match self.cause {
            Cause::Transport => true,
            Cause::Status(status, _) => matches!(status, 408 | 429 | 500 | 502..=504 | 506..=599),
            Cause::Garbled => false,
        }
    }

    /// How long the service asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            Cause::Status(_, after) => after,
            _ => None,
        }
    }

    pub(super) fn transport(host: &str, error: &reqwest::Error) -> Self {
        let message = if error.is_timeout() {
            format!("{host} did not answer in time")
        } else {
            format!("cannot reach {host}: {}", innermost(error))
        };
        Self { cause: Cause::Transport, message }
    }

    pub(super) fn garbled(host: &str, what: &str) -> Self {
        let message = format!("{host} gave an answer that is not of the CapyDB API ({what})");
        Self { cause: Cause::Garbled, message }
    }

    /// An answer outside 2xx: the service's own sentence, or what can be said without one.
    pub(super) fn status(host: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let said =
            serde_json::from_slice::<ApiError>(body).ok().map(|body| crate::util::format::printable(&body.error, 500));
        let message = match said.filter(|said| !said.is_empty()) {
            Some(said) => said,
            None => format!("{host} answered {} {}", status, reason(status)).trim_end().to_owned(),
        };
        Self { cause: Cause::Status(status, retry_after), message }
    }
}

fn reason(status: u16) -> &'static str {
    reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_sentence_still_reads_well() {
        let message = |status, body: &str| CallError::status("api.example", status, None, body.as_bytes()).message;
        assert_eq!(message(409, r#"{"error":"already running"}"#), "already running");
        assert_eq!(message(502, "<html>Bad Gateway</html>"), "api.example answered 502 Bad Gateway");
        assert_eq!(message(500, ""), "api.example answered 500 Internal Server Error");
        assert_eq!(message(599, "{}"), "api.example answered 599");
    }
}
