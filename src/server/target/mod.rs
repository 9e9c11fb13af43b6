//! The target server: the Postgres server of the projects' databases.

mod collation;
pub(super) mod query;
mod server;

pub(super) use server::{CreatedObjects, MAX_CONNECTIONS, TargetServer, exists};
