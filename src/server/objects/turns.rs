use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Who may write into an unfinished object. A part has one writer: a newer one, whose sender
/// has given up on the older, ends that. Finishing the object ends them all.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Object>>);

#[derive(Default)]
struct Object {
    all: Arc<RwLock<()>>,
    parts: HashMap<u32, (CancellationToken, Arc<tokio::sync::Mutex<()>>)>,
}

/// The right to write one part.
pub(crate) struct Turn {
    /// Told when somebody else wants to.
    pub(super) over: CancellationToken,
    _all: OwnedRwLockReadGuard<()>,
    _part: OwnedMutexGuard<()>,
}

impl Turns {
    /// Ends an older writer of the part, and waits until it has gone. `None` when a newer one
    /// came meanwhile.
    pub(super) async fn part(&self, key: &str, part: u32) -> Option<Turn> {
        let over = CancellationToken::new();
        let (all, lock) = {
            let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // What nobody waits for or holds is forgotten.
            objects.retain(|_, object| {
                object.parts.retain(|_, (_, lock)| Arc::strong_count(lock) > 1);
                !object.parts.is_empty() || Arc::strong_count(&object.all) > 1
            });
            let object = objects.entry(key.to_owned()).or_default();
            let (older, lock) = object.parts.entry(part).or_default();
            older.cancel();
            *older = over.clone();
            (object.all.clone(), lock.clone())
        };
        let turn = Turn { over, _all: all.read_owned().await, _part: lock.lock_owned().await };
        (!turn.over.is_cancelled()).then_some(turn)
    }

    /// Ends all writers of an object, and keeps others out while the guard is held.
    pub(super) async fn whole(&self, key: &str) -> OwnedRwLockWriteGuard<()> {
        let all = {
            let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let object = objects.entry(key.to_owned()).or_default();
            object.parts.values().for_each(|(older, _)| older.cancel());
            object.all.clone()
        };
        all.write_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_writer_ends_the_older() {
        let turns = Arc::new(Turns::default());
        let first = turns.part("k", 1).await.expect("a turn");
        let other = turns.part("k", 2).await.expect("another part");
        let newer = tokio::spawn({
            let turns = turns.clone();
            async move { turns.part("k", 1).await.is_some() }
        });
        first.over.cancelled().await;
        assert!(!other.over.is_cancelled() && !newer.is_finished(), "it waits until the older has gone");
        drop(first);
        assert!(newer.await.expect("runs"));
        let whole = tokio::spawn({
            let turns = turns.clone();
            async move { drop(turns.whole("k").await) }
        });
        other.over.cancelled().await;
        drop(other);
        whole.await.expect("runs");
        turns.part("k2", 1).await.expect("a turn");
        assert_eq!(turns.0.lock().expect("whole").len(), 1, "what nobody holds is forgotten");
    }
}
