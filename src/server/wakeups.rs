//! Wakeups between the parts of one process.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Hints that shorten a wait. What they hint at is stored in the metadata, so a lost one costs
/// time and nothing else.
#[derive(Default)]
pub(super) struct Wakeups {
    /// The queue has a new job.
    pub(super) jobs: Notify,
    /// The outbox has a new message.
    pub(super) outbox: Notify,
    /// A cleanup is incomplete and should soon be repeated.
    cleanup: AtomicBool,
}

impl Wakeups {
    /// Wakes all idle workers, and lets the next one that becomes idle poll once more.
    pub(super) fn wake_workers(&self) {
        self.jobs.notify_waiters();
        self.jobs.notify_one();
    }

    /// Wakes those that deliver webhooks and push connection strings.
    pub(super) fn wake_outbox(&self) {
        self.outbox.notify_waiters();
    }

    /// Asks for another cleanup soon.
    pub(super) fn request_cleanup(&self) {
        self.cleanup.store(true, Ordering::Relaxed);
    }

    /// Whether a cleanup was requested. The caller takes care of it.
    pub(super) fn take_cleanup_request(&self) -> bool {
        self.cleanup.swap(false, Ordering::Relaxed)
    }

    /// Whether a cleanup is requested.
    pub(super) fn is_cleanup_requested(&self) -> bool {
        self.cleanup.load(Ordering::Relaxed)
    }
}
