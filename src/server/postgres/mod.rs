//! Finding, fetching and running the Postgres that a control plane of one machine carries, and
//! reaching one that others run.

mod cluster;
mod endpoint;
mod installation;
mod os_user;

pub use cluster::{Cluster, ClusterOptions};
pub use endpoint::{Endpoint, SessionError, server_major};
pub use installation::{Programs, Tools, find};
pub use os_user::{RunAs, private_file, run_as};
