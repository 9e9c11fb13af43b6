//! Finding, fetching and running the Postgres that a control plane of one machine carries, and
//! reaching one that others run.

mod cluster;
mod find;
mod place;
mod user;

pub use cluster::{Cluster, ClusterOptions};
pub use find::{Programs, Tools, find};
pub use place::{Place, server_major};
pub use user::{RunAs, private_file, run_as};
