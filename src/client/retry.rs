//! Retries of idempotent API calls.

use super::CallError;
use std::future::Future;
use std::time::Duration;

/// Waits before the second, third and fourth attempt.
const DELAYS: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// Longest `Retry-After` that is honored; above it the error is returned.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Retries an idempotent call while its error is transient.
pub(super) async fn with_retry<T, F: Future<Output = Result<T, CallError>>>(
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    for wait in DELAYS {
        let error = match call().await {
            Err(error) if error.is_transient() => error,
            done => return done,
        };
        let wait = error.retry_after().unwrap_or(wait);
        if wait > MAX_DELAY {
            return Err(error);
        }
        tracing::debug!("retrying in {wait:?}: {error}");
        tokio::time::sleep(wait).await;
    }
    call().await
}
