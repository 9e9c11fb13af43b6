//! Telling others what has happened. What is to be told was stored together with what it tells
//! of; those who tell take what is due, several at a time, and store what became of it. Whoever
//! dies on the way leaves it to the next: everything is told at least once.

use crate::server::Core;
use crate::server::metadata::{DeliveryError, MAX_DELIVERY_ATTEMPTS};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Things that one process tells at the same time. Most of it is waiting.
const AT_A_TIME: usize = 32;
/// Whoever has so many of them under way gets no more: one that is slow must not hold up the others.
const FOR_ONE: usize = 4;
/// Pause between two looks for what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// Pauses between the attempts, in seconds: a receiver that is being deployed is back within the
/// first few, one that is broken over night within the rest.
const RETRY_DELAYS: [f64; MAX_DELIVERY_ATTEMPTS as usize - 1] = [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0];

/// Seconds until the next attempt after this one. The receiver may ask for more, but for no more
/// than the longest.
pub(crate) fn retry_delay<T>(attempt: i32, result: &Result<T, DeliveryError>) -> f64 {
    let longest = RETRY_DELAYS[RETRY_DELAYS.len() - 1];
    let usual = usize::try_from(attempt - 1).ok().and_then(|at| RETRY_DELAYS.get(at)).unwrap_or(&longest);
    let retry_after = result.as_ref().err().and_then(|error| error.retry_after);
    retry_after.map_or(*usual, |retry_after| retry_after.as_secs_f64().clamp(*usual, longest))
}

/// Something that is to be told.
pub(crate) trait OutboxItem: Send + 'static {
    /// Whom it is for.
    fn receiver(&self) -> &str;
}

/// Tells what is due until it is told to stop, then ends what is under way.
pub(crate) async fn run<T: OutboxItem, P: Future<Output = anyhow::Result<()>> + Send + 'static>(
    core: Arc<Core>,
    stop: CancellationToken,
    claim: impl AsyncFn(&Core, usize, &[String]) -> anyhow::Result<Vec<T>>,
    tell: impl Fn(Arc<Core>, T) -> P,
) {
    let (mut running, mut receivers) = (JoinSet::new(), HashMap::<task::Id, String>::new());
    while !stop.is_cancelled() {
        let mut news = pin!(core.wakeups.outbox.notified());
        news.as_mut().enable(); // what happens from here on is not missed
        let capacity = AT_A_TIME.saturating_sub(running.len()).min(FOR_ONE);
        let item = if capacity == 0 { Ok(Vec::new()) } else { claim(&core, capacity, &busy(&receivers)).await };
        let item = item.unwrap_or_else(|error| {
            tracing::error!("what is due cannot be read: {error:#}");
            Vec::new()
        });
        let idle = item.is_empty();
        for item in item {
            let receiver = item.receiver().to_owned();
            let delivery = running.spawn(tell(core.clone(), item));
            receivers.insert(delivery.id(), receiver);
        }
        if !idle {
            continue; // there may be more
        }
        tokio::select! {
            Some(result) = running.join_next_with_id() => finish(result, &mut receivers),
            () = news => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    while let Some(result) = running.join_next_with_id().await {
        finish(result, &mut receivers);
    }
}

/// The receivers that have their share. A claim may bring one of them as many once more at most.
fn busy(receivers: &HashMap<task::Id, String>) -> Vec<String> {
    let mut counts = HashMap::<&String, usize>::new();
    for receiver in receivers.values() {
        *counts.entry(receiver).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= FOR_ONE).map(|(receiver, _)| receiver.clone()).collect()
}

fn finish(result: Result<(task::Id, anyhow::Result<()>), JoinError>, receivers: &mut HashMap<task::Id, String>) {
    let (id, result) = match result {
        Ok(result) => result,
        Err(error) => (error.id(), Err(anyhow::anyhow!("given up: {error}"))),
    };
    receivers.remove(&id);
    if let Err(error) = result {
        tracing::error!("what became of a message could not be stored: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow() {
        let pauses: Vec<f64> = (1..=9).map(|attempt| retry_delay(attempt, &Ok(()))).collect();
        assert!(pauses.is_sorted() && pauses[0] < 10.0 && pauses[8] > 3600.0);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause() {
        let retry_after = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            retry_delay::<()>(2, &Err(DeliveryError { retry_after, ..DeliveryError::transient("busy") }))
        };
        assert_eq!(
            [retry_after(0), retry_after(90), retry_after(u64::MAX)].map(|retry_delay| format!("{retry_delay:.0}")),
            ["30", "90", "10800"]
        );
    }
}
