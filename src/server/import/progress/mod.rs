//! How far an import is.

pub(super) mod batch_markers;
pub(super) mod poller;
pub(super) mod tracker;
