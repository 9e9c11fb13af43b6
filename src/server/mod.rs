//! The control plane: serves the API, stores uploads, and runs imports.
//!
//! `dev` and `service` start the same modules: `api` handles requests, `jobs` runs the jobs queued in
//! `metadata`, `import` is the engine of one kind of job, `target` is the server of the projects'
//! databases, `objects` stores uploaded dumps, `outbound` sends webhooks and pushes connection strings.
//! All of them share `state`.

mod api;
pub mod crypto;
pub mod dev;
mod egress;
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
