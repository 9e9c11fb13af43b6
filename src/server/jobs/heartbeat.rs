//! Extends the lease of a running job, and notices when the attempt must stop.

use crate::server::Core;
use crate::server::import::{ProgressTracker, StopReason};
use crate::server::metadata::{Claim, LeaseState};
use std::time::{Duration, Instant};

/// Pause between two heartbeats, well below the lease. Each heartbeat stores the progress, and reads
/// whether the job was cancelled.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Timeout of a heartbeat.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the metadata database may be unreachable. It is less than the lease, so the attempt
/// stops before another worker can claim the job.
const OUTAGE_TOLERANCE: Duration = Duration::from_secs(20);

/// Why an attempt must stop before its work is done.
pub(super) enum AbortReason {
    /// The job was cancelled.
    Cancelled,
    /// The lease was lost, or can no longer be extended.
    LeaseLost,
}

/// Sends heartbeats until the attempt must stop. An attempt that already stops because of a
/// cancellation (`stop_reason`) is not interrupted by it again.
pub(super) async fn heartbeat_until_abort(
    core: &Core,
    claim: &Claim,
    tracker: &ProgressTracker,
    stop_reason: Option<StopReason>,
) -> AbortReason {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let progress = serde_json::json!({ "progress": tracker.progress() });
        let sent = tokio::time::timeout(HEARTBEAT_TIMEOUT, core.store.heartbeat(&claim.job, &progress)).await;
        match sent {
            Ok(Ok(LeaseState::Cancelled)) if stop_reason != Some(StopReason::Cancelled) => {
                return AbortReason::Cancelled;
            }
            Ok(Ok(LeaseState::Lost)) => return AbortReason::LeaseLost,
            Ok(Ok(LeaseState::Held | LeaseState::Cancelled)) => last = Instant::now(),
            Ok(Err(_)) | Err(_) if last.elapsed() < OUTAGE_TOLERANCE => {}
            Ok(Err(_)) | Err(_) => return AbortReason::LeaseLost,
        }
    }
}
