//! Telling others what has happened. What is to be told was stored together with what it tells
//! of; those who tell take what is due, several at a time, and store what became of it. Whoever
//! dies on the way leaves it to the next: everything is told at least once.

use super::App;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Things that one process tells at the same time. Most of it is waiting.
const AT_A_TIME: usize = 32;
/// As many of them are for one receiver: one that is slow must not hold up the others.
const FOR_ONE: usize = 4;
/// Pause between two looks for what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// Pauses between the attempts, in seconds: a receiver that is being deployed is back within the
/// first few, one that is broken over night within the rest.
const PAUSES: [f64; 7] = [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0];

/// Seconds until the next attempt after this one.
pub(super) fn pause(attempt: i32) -> f64 {
    let at = usize::try_from(attempt - 1).unwrap_or(0);
    PAUSES[at.min(PAUSES.len() - 1)]
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
    let (mut under_way, mut receivers) = (JoinSet::new(), HashMap::<String, usize>::new());
    while !stop.is_cancelled() {
        let mut news = pin!(app.news.notified());
        news.as_mut().enable(); // what happens from here on is not missed
        let room = (AT_A_TIME - under_way.len()).min(FOR_ONE);
        let busy: Vec<String> =
            receivers.iter().filter(|(_, count)| **count >= FOR_ONE).map(|(receiver, _)| receiver.clone()).collect();
        let due = if room == 0 { Ok(Vec::new()) } else { claim(&app, room, &busy).await };
        let due = due.unwrap_or_else(|error| {
            tracing::error!("what is due cannot be read: {error:#}");
            Vec::new()
        });
        let idle = due.is_empty();
        for item in due {
            let receiver = item.receiver().to_owned();
            *receivers.entry(receiver.clone()).or_default() += 1;
            let telling = tell(app.clone(), item);
            under_way.spawn(async move { (receiver, telling.await) });
        }
        if !idle {
            continue; // there may be more
        }
        tokio::select! {
            Some(told) = under_way.join_next() => note(told, &mut receivers),
            () = news => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    while let Some(told) = under_way.join_next().await {
        note(told, &mut receivers);
    }
}

fn note(told: Result<(String, anyhow::Result<()>), tokio::task::JoinError>, receivers: &mut HashMap<String, usize>) {
    let (receiver, told) = match told {
        Ok(told) => told,
        Err(error) => {
            receivers.clear(); // whose it was is not known; the others are counted anew
            return tracing::error!("a message was given up: {error}");
        }
    };
    if let Some(count) = receivers.get_mut(&receiver) {
        *count = count.saturating_sub(1);
    }
    receivers.retain(|_, count| *count > 0);
    if let Err(error) = told {
        tracing::error!("what became of a message could not be stored: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn pauses_grow() {
        let pauses: Vec<f64> = (1..=9).map(pause).collect();
        assert!(pauses.is_sorted() && pauses[0] < 10.0 && pauses[8] > 3600.0);
    }
}
