//! The outbox: delivers webhooks and pushes. Items are stored in the transaction of their event; workers
//! claim due items, deliver them concurrently, and store the results. Items of a worker that dies are
//! claimed again, so delivery is at least once.

use crate::server::Core;
use crate::server::metadata::{DeliveryError, MAX_DELIVERY_ATTEMPTS};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Maximum number of concurrent deliveries of a process, which are mostly waiting.
const MAX_CONCURRENT: usize = 32;
/// Concurrent deliveries above which a receiver gets no more, so that a slow one does not block others.
const MAX_PER_RECEIVER: usize = 4;
/// Pause between two polls for due items.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Delays between attempts, in seconds: the first few cover a deployment of the receiver, the rest an
/// outage overnight.
const RETRY_DELAYS: [f64; MAX_DELIVERY_ATTEMPTS as usize - 1] = [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0];

/// Seconds from this attempt to the next. `Retry-After` can extend the delay, up to the longest one.
pub(crate) fn retry_delay<T>(attempt: i32, result: &Result<T, DeliveryError>) -> f64 {
    let longest = RETRY_DELAYS[RETRY_DELAYS.len() - 1];
    let usual = usize::try_from(attempt - 1).ok().and_then(|at| RETRY_DELAYS.get(at)).unwrap_or(&longest);
    let retry_after = result.as_ref().err().and_then(|error| error.retry_after);
    retry_after.map_or(*usual, |retry_after| retry_after.as_secs_f64().clamp(*usual, longest))
}

/// An item to deliver.
pub(crate) trait OutboxItem: Send + 'static {
    /// Id of the receiver, for the limit per receiver.
    fn receiver(&self) -> &str;
}

/// Delivers due items until `stop`, then waits for running deliveries.
pub(crate) async fn run<T: OutboxItem, P: Future<Output = anyhow::Result<()>> + Send + 'static>(
    core: Arc<Core>,
    stop: CancellationToken,
    claim: impl AsyncFn(&Core, usize, &[String]) -> anyhow::Result<Vec<T>>,
    deliver: impl Fn(Arc<Core>, T) -> P,
) {
    let (mut running, mut receivers) = (JoinSet::new(), HashMap::<task::Id, String>::new());
    while !stop.is_cancelled() {
        let mut wakeup = pin!(core.wakeups.outbox.notified());
        wakeup.as_mut().enable(); // wakeups from here on are not missed
        let capacity = MAX_CONCURRENT.saturating_sub(running.len()).min(MAX_PER_RECEIVER);
        let items = if capacity == 0 { Ok(Vec::new()) } else { claim(&core, capacity, &busy(&receivers)).await };
        let items = items.unwrap_or_else(|error| {
            tracing::error!("cannot read the due deliveries: {error:#}");
            Vec::new()
        });
        let idle = items.is_empty();
        for item in items {
            let receiver = item.receiver().to_owned();
            let delivery = running.spawn(deliver(core.clone(), item));
            receivers.insert(delivery.id(), receiver);
        }
        if !idle {
            continue; // there may be more
        }
        tokio::select! {
            Some(result) = running.join_next_with_id() => finish(result, &mut receivers),
            () = wakeup => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
    while let Some(result) = running.join_next_with_id().await {
        finish(result, &mut receivers);
    }
}

/// Receivers at their limit. One claim can exceed the limit by at most the limit itself.
fn busy(receivers: &HashMap<task::Id, String>) -> Vec<String> {
    let mut counts = HashMap::<&String, usize>::new();
    for receiver in receivers.values() {
        *counts.entry(receiver).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= MAX_PER_RECEIVER).map(|(receiver, _)| receiver.clone()).collect()
}

fn finish(result: Result<(task::Id, anyhow::Result<()>), JoinError>, receivers: &mut HashMap<task::Id, String>) {
    let (id, result) = match result {
        Ok(result) => result,
        Err(error) => (error.id(), Err(anyhow::anyhow!("the delivery was aborted: {error}"))),
    };
    receivers.remove(&id);
    if let Err(error) = result {
        tracing::error!("cannot store the result of a delivery: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_grow() {
        let delays: Vec<f64> = (1..=9).map(|attempt| retry_delay(attempt, &Ok(()))).collect();
        assert!(delays.is_sorted() && delays[0] < 10.0 && delays[8] > 3600.0);
    }

    #[test]
    fn a_receiver_may_request_a_longer_delay() {
        let delay = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            retry_delay::<()>(2, &Err(DeliveryError { retry_after, ..DeliveryError::transient("busy") }))
        };
        assert_eq!([delay(0), delay(90), delay(u64::MAX)].map(|delay| format!("{delay:.0}")), ["30", "90", "10800"]);
    }
}
