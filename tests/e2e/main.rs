//! The built program against a real control plane and real Postgres servers.
#![cfg(feature = "server")]

mod api;
mod dev;
mod gate;
mod imports;
mod in_place;
mod recovery;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
