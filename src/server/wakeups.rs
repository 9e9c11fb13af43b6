//! Wakeups between the tasks of one process.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Hints that shorten a wait. The work itself is stored in the metadata, so a lost hint only causes a
/// delay.
#[derive(Default)]
pub(super) struct Wakeups {
    /// The queue has a new job.
    pub(super) jobs: Notify,
    /// The outbox has a new message.
    pub(super) outbox: Notify,
    /// A cleanup is incomplete and must be repeated soon.
    cleanup: AtomicBool,
}

impl Wakeups {
    /// Wakes all idle workers, and lets the next worker that becomes idle poll once more.
    pub(super) fn wake_workers(&self) {
        self.jobs.notify_waiters();
        self.jobs.notify_one();
    }

    /// Wakes the tasks that deliver webhooks and push connection strings.
    pub(super) fn wake_outbox(&self) {
        self.outbox.notify_waiters();
    }

    /// Requests another cleanup soon.
    pub(super) fn request_cleanup(&self) {
        self.cleanup.store(true, Ordering::Relaxed);
    }

    /// Clears the request for a cleanup, and returns whether there was one.
    pub(super) fn take_cleanup_request(&self) -> bool {
        self.cleanup.swap(false, Ordering::Relaxed)
    }

    /// Whether a cleanup is requested; the request stays.
    pub(super) fn is_cleanup_requested(&self) -> bool {
        self.cleanup.load(Ordering::Relaxed)
    }
}
