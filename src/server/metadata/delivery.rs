//! The outcome of attempts at deliveries and pushes.

use std::time::Duration;

/// Maximum number of attempts at a delivery or push (the API's rules for webhooks).
pub(crate) const MAX_DELIVERY_ATTEMPTS: i32 = 8;

/// Why an attempt at a delivery or push failed.
#[derive(Debug)]
pub(crate) struct DeliveryError {
    /// One sentence for users, without secrets.
    pub message: String,
    /// HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// Whether another attempt can only fail again.
    pub permanent: bool,
    /// How long the receiver asked to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl DeliveryError {
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: None, permanent: true, retry_after: None }
    }

    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self { permanent: false, ..Self::permanent(message) }
    }

    /// The error of an attempt beyond the maximum: the worker died during the last one.
    pub(crate) fn attempts_exhausted() -> Self {
        Self::permanent("the worker stopped before a response arrived, also in the last attempt")
    }

    /// Whether another attempt follows this one.
    pub(super) fn will_retry(&self, attempt: i32) -> bool {
        !self.permanent && attempt < MAX_DELIVERY_ATTEMPTS
    }
}
