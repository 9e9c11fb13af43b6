//! Telling others what has happened. What is to be told was stored together with what it tells
//! of; those who tell take what is due, several at a time, and store what became of it. Whoever
//! dies on the way leaves it to the next: everything is told at least once.

use super::App;
use super::store::{TELLINGS, Trouble};
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
const PAUSES: [f64; TELLINGS as usize - 1] = [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0];

/// Seconds until the next attempt after this one. The receiver may ask for more, but for no more
/// than the longest.
pub(super) fn pause<T>(attempt: i32, told: &Result<T, Trouble>) -> f64 {
    let longest = PAUSES[PAUSES.len() - 1];
    let usual = usize::try_from(attempt - 1).ok().and_then(|at| PAUSES.get(at)).unwrap_or(&longest);
    let asked = told.as_ref().err().and_then(|trouble| trouble.asked);
    asked.map_or(*usual, |asked| asked.as_secs_f64().clamp(*usual, longest))
}

/// Something that is to be told.
pub(super) trait Due: Send + 'static {
    /// Whom it is for.
    fn receiver(&self) -> &str;
}

/// Tells what is due until it is told to stop, then ends what is under way.
pub(super) async fn run<T: Due, P: Future<Output = anyhow::Result<()>> + Send + 'static>(
    app: Arc<App>,
    stop: CancellationToken,
    claim: impl AsyncFn(&App, usize, &[String]) -> anyhow::Result<Vec<T>>,
    tell: impl Fn(Arc<App>, T) -> P,
) {
    let (mut under_way, mut receivers) = (JoinSet::new(), HashMap::<task::Id, String>::new());
    while !stop.is_cancelled() {
        let mut news = pin!(app.signals.news.notified());
        news.as_mut().enable(); // what happens from here on is not missed
        let room = AT_A_TIME.saturating_sub(under_way.len()).min(FOR_ONE);
        let due = if room == 0 { Ok(Vec::new()) } else { claim(&app, room, &busy(&receivers)).await };
        let due = due.unwrap_or_else(|error| {
            tracing::error!("what is due cannot be read: {error:#}");
            Vec::new()
        });
        let idle = due.is_empty();
        for item in due {
            let receiver = item.receiver().to_owned();
            let telling = under_way.spawn(tell(app.clone(), item));
            receivers.insert(telling.id(), receiver);
        }
        if !idle {
            continue; // there may be more
        }
        tokio::select! {
            Some(told) = under_way.join_next_with_id() => note(told, &mut receivers),
            () = news => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    while let Some(told) = under_way.join_next_with_id().await {
        note(told, &mut receivers);
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

fn note(told: Result<(task::Id, anyhow::Result<()>), JoinError>, receivers: &mut HashMap<task::Id, String>) {
    let (id, told) = match told {
        Ok(told) => told,
        Err(error) => (error.id(), Err(anyhow::anyhow!("given up: {error}"))),
    };
    receivers.remove(&id);
    if let Err(error) = told {
        tracing::error!("what became of a message could not be stored: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow() {
        let pauses: Vec<f64> = (1..=9).map(|attempt| pause(attempt, &Ok(()))).collect();
        assert!(pauses.is_sorted() && pauses[0] < 10.0 && pauses[8] > 3600.0);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause() {
        let asked = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            pause::<()>(2, &Err(Trouble { asked, ..Trouble::passing("busy") }))
        };
        assert_eq!([asked(0), asked(90), asked(u64::MAX)].map(|pause| format!("{pause:.0}")), ["30", "90", "10800"]);
    }
}
