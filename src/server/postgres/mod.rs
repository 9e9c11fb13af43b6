//! Finds, fetches and runs the private Postgres of a local control plane, and connects to Postgres
//! servers.

mod cluster;
mod endpoint;
mod installation;
mod os_user;

pub use cluster::{Cluster, ClusterOptions};
pub use endpoint::{Endpoint, SessionError, server_major};
pub use installation::{Programs, Tools, find};
pub use os_user::{RunAs, private_file, run_as};
