//! The server that holds the projects' databases.

pub(super) mod query;
mod server;

pub(super) use server::{CreatedObjects, MAX_CONNECTIONS, TargetServer, exists};
