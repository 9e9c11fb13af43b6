//! The progress of an import.

pub(super) mod batch_markers;
pub(super) mod poller;
pub(super) mod tracker;
