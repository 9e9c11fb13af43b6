use std::time::Duration;

/// How often somebody is told something (the API's rules for webhooks).
pub(crate) const MAX_DELIVERY_ATTEMPTS: i32 = 8;

/// Why an attempt to tell somebody something came to nothing.
#[derive(Debug)]
pub(crate) struct DeliveryError {
    /// One sentence for people; holds no secret.
    pub message: String,
    /// The HTTP status that was answered.
    pub status: Option<u16>,
    /// There is no sense in trying again.
    pub permanent: bool,
    /// How long the receiver asked to wait.
    pub retry_after: Option<Duration>,
}

impl DeliveryError {
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: None, permanent: true, retry_after: None }
    }

    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self { permanent: false, ..Self::permanent(message) }
    }

    /// An attempt that began after the last one.
    pub(crate) fn attempts_exhausted() -> Self {
        Self::permanent("whoever was at it ended before the answer came, in the last attempt too")
    }

    /// Whether another attempt follows this one.
    pub(super) fn will_retry(&self, attempt: i32) -> bool {
        !self.permanent && attempt < MAX_DELIVERY_ATTEMPTS
    }
}
