//! The target server: the Postgres server of the projects' databases.

mod application_roles;
mod collation;
pub(super) mod query;
mod server;

pub(super) use application_roles::ApplicationRole;
pub(super) use server::{CreatedObjects, MAX_CONNECTIONS, TargetServer, exists};
