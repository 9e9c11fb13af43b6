//! Runs queued jobs: claims, heartbeats, outcomes and garbage collection.

mod create_project;
pub(super) mod gc;
mod heartbeat;
mod run_import;
pub(super) mod work_dirs;
pub(super) mod worker;
