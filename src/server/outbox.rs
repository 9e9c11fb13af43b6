//! Telling others what has happened. What is to be told was stored together with what it tells
//! of; those who tell take what is due, several at a time, and store what became of it. Whoever
//! dies on the way leaves it to the next: everything is told at least once.

use super::App;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Things that one process tells at the same time. Most of it is waiting.
const AT_A_TIME: usize = 32;
/// Pause between two looks for what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells what is due until it is told to stop, then ends what is under way.
pub(super) async fn run<T: Send + 'static, P: Future<Output = anyhow::Result<()>> + Send + 'static>(
    app: Arc<App>,
    stop: CancellationToken,
    claim: impl AsyncFn(&App, usize) -> anyhow::Result<Vec<T>>,
    tell: impl Fn(Arc<App>, T) -> P,
) {
    let mut under_way = JoinSet::new();
    while !stop.is_cancelled() {
        let room = AT_A_TIME - under_way.len();
        let due = if room == 0 { Vec::new() } else { claimed(&app, room, &claim).await };
        let idle = due.is_empty();
        for item in due {
            under_way.spawn(tell(app.clone(), item));
        }
        if !idle && under_way.len() < AT_A_TIME {
            continue; // there may be more
        }
        tokio::select! {
            Some(told) = under_way.join_next() => note(told),
            () = app.news.notified() => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    while let Some(told) = under_way.join_next().await {
        note(told);
    }
}

async fn claimed<T>(app: &App, most: usize, claim: &impl AsyncFn(&App, usize) -> anyhow::Result<Vec<T>>) -> Vec<T> {
    claim(app, most).await.unwrap_or_else(|error| {
        tracing::error!("what is due cannot be read: {error:#}");
        Vec::new()
    })
}

fn note(told: Result<anyhow::Result<()>, tokio::task::JoinError>) {
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("what became of a message could not be stored: {error:#}"),
        Err(error) => tracing::error!("a message was given up: {error}"),
    }
}
