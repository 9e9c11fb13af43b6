use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Who may write into an unfinished object. A part has one writer: a newer one, whose sender
/// has given up on the older, ends that. Finishing the object ends them all.
#[derive(Default)]
pub(super) struct PartLocks(Mutex<HashMap<String, Object>>);

#[derive(Default)]
struct Object {
    all: Arc<RwLock<()>>,
    parts: HashMap<u32, (CancellationToken, Arc<tokio::sync::Mutex<()>>)>,
}

/// The right to write one part.
pub(crate) struct PartLock {
    /// Told when somebody else wants to.
    pub(super) over: CancellationToken,
    _all: OwnedRwLockReadGuard<()>,
    _part: OwnedMutexGuard<()>,
}

impl PartLocks {
    /// Ends an older writer of the part, and waits until it has gone. `None` when a newer one
    /// came meanwhile.
    pub(super) async fn part(&self, key: &str, part: u32) -> Option<PartLock> {
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
        let lock = PartLock { over, _all: all.read_owned().await, _part: lock.lock_owned().await };
        (!lock.over.is_cancelled()).then_some(lock)
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
        let part_locks = Arc::new(PartLocks::default());
        let first = part_locks.part("k", 1).await.expect("a turn");
        let other = part_locks.part("k", 2).await.expect("another part");
        let newer = tokio::spawn({
            let part_locks = part_locks.clone();
            async move { part_locks.part("k", 1).await.is_some() }
        });
        first.over.cancelled().await;
        assert!(!other.over.is_cancelled() && !newer.is_finished(), "it waits until the older has gone");
        drop(first);
        assert!(newer.await.expect("runs"));
        let whole = tokio::spawn({
            let part_locks = part_locks.clone();
            async move { drop(part_locks.whole("k").await) }
        });
        other.over.cancelled().await;
        drop(other);
        whole.await.expect("runs");
        part_locks.part("k2", 1).await.expect("a turn");
        assert_eq!(part_locks.0.lock().expect("whole").len(), 1, "what nobody holds is forgotten");
    }
}
