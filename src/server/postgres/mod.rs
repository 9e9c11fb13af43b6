//! Finding, fetching and running the Postgres that a control plane of one machine carries.

mod cluster;
mod find;
mod user;

pub use cluster::{Cluster, ClusterOptions};
pub use find::{Programs, find};
pub use user::{RunAs, private_file, run_as};
