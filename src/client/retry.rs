use super::CallError;
use std::future::Future;
use std::time::Duration;

/// Waits before the second, third and fourth try.
const WAITS: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// A service that asks for more patience than this gets its answer shown instead.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Repeats a call that changes nothing while its failure is transient.
pub(super) async fn with_retry<T, F: Future<Output = Result<T, CallError>>>(
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    for wait in WAITS {
        let error = match call().await {
            Err(error) if error.is_transient() => error,
            done => return done,
        };
        let wait = error.retry_after().unwrap_or(wait);
        if wait > LONGEST_WAIT {
            return Err(error);
        }
        tracing::debug!("trying again in {wait:?}: {error}");
        tokio::time::sleep(wait).await;
    }
    call().await
}
