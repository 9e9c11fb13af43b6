//! What the parts of a process tell one another.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Each of them is a hint that saves a wait; what it hints at is stored.
#[derive(Default)]
pub(super) struct Signals {
    /// There is a new job.
    pub(super) work: Notify,
    /// There is something to tell others.
    pub(super) news: Notify,
    /// Something of a job that is over could not be cleaned away yet.
    untidy: AtomicBool,
}

impl Signals {
    /// Wakes the workers that wait, and lets the next one that comes to wait look again.
    pub(super) fn call_workers(&self) {
        self.work.notify_waiters();
        self.work.notify_one();
    }

    /// Wakes those who tell others what has happened.
    pub(super) fn tell_news(&self) {
        self.news.notify_waiters();
    }

    pub(super) fn set_untidy(&self) {
        self.untidy.store(true, Ordering::Relaxed);
    }

    /// Whether something was left, which from now on is somebody's.
    pub(super) fn take_untidy(&self) -> bool {
        self.untidy.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_untidy(&self) -> bool {
        self.untidy.load(Ordering::Relaxed)
    }
}
