//! Locks on the parts of incomplete uploads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Locks on the parts of incomplete objects. A part has one writer: a newer one aborts the older, whose
/// sender has timed out. Finishing the object aborts all writers.
#[derive(Default)]
pub(super) struct PartLocks(Mutex<HashMap<String, Object>>);

#[derive(Default)]
struct Object {
    all: Arc<RwLock<()>>,
    parts: HashMap<u32, (CancellationToken, Arc<tokio::sync::Mutex<()>>)>,
}

/// The exclusive right to write one part.
pub(crate) struct PartLock {
    /// Cancelled when a newer writer or the end of the upload supersedes this one.
    pub(super) superseded: CancellationToken,
    _all: OwnedRwLockReadGuard<()>,
    _part: OwnedMutexGuard<()>,
}

impl PartLocks {
    /// Aborts an older writer of the part, and waits until it has stopped. `None` if a newer one has
    /// arrived in the meantime.
    pub(super) async fn part(&self, key: &str, part: u32) -> Option<PartLock> {
        let superseded = CancellationToken::new();
        let (all, lock) = {
            let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Drop the entries of locks that have no holder or waiter.
            objects.retain(|_, object| {
                object.parts.retain(|_, (_, lock)| Arc::strong_count(lock) > 1);
                !object.parts.is_empty() || Arc::strong_count(&object.all) > 1
            });
            let object = objects.entry(key.to_owned()).or_default();
            let (older, lock) = object.parts.entry(part).or_default();
            older.cancel();
            *older = superseded.clone();
            (object.all.clone(), lock.clone())
        };
        let lock = PartLock { superseded, _all: all.read_owned().await, _part: lock.lock_owned().await };
        (!lock.superseded.is_cancelled()).then_some(lock)
    }

    /// Aborts all writers of an object, and blocks new ones while the guard is held.
    pub(super) async fn exclusive(&self, key: &str) -> OwnedRwLockWriteGuard<()> {
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
    async fn a_newer_writer_supersedes_the_older() {
        let part_locks = Arc::new(PartLocks::default());
        let first = part_locks.part("k", 1).await.expect("a part lock");
        let other = part_locks.part("k", 2).await.expect("another part");
        let newer = tokio::spawn({
            let part_locks = part_locks.clone();
            async move { part_locks.part("k", 1).await.is_some() }
        });
        first.superseded.cancelled().await;
        assert!(
            !other.superseded.is_cancelled() && !newer.is_finished(),
            "the newer writer waits until the older one stops"
        );
        drop(first);
        assert!(newer.await.expect("the newer writer does not panic"));
        let exclusive = tokio::spawn({
            let part_locks = part_locks.clone();
            async move { drop(part_locks.exclusive("k").await) }
        });
        other.superseded.cancelled().await;
        drop(other);
        exclusive.await.expect("the exclusive lock does not panic");
        part_locks.part("k2", 1).await.expect("a part lock");
        assert_eq!(part_locks.0.lock().expect("a lock that is not poisoned").len(), 1, "unused locks are dropped");
    }
}
