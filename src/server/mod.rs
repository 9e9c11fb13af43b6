//! A control plane: it answers the API, stores uploads, and runs imports.
//!
//! `dev` and `service` start the same parts: `api` answers calls, `jobs` runs what is queued in
//! `metadata`, `import` is one such job, `target` the server that holds the projects' databases,
//! `objects` the uploaded dumps, `outbound` what is sent to others. `state` is what they share.

mod api;
pub mod crypto;
pub mod dev;
mod import;
mod jobs;
mod metadata;
mod metrics;
mod objects;
mod outbound;
pub mod postgres;
pub mod service;
mod state;
mod supervisor;
mod target;
mod wakeups;

use state::Core;
