//! The built program against a real control plane and real Postgres servers.
#![cfg(feature = "server")]

mod account;
mod api;
mod bucket;
mod database;
mod dev;
mod documents;
mod dumps;
mod gate;
mod imports;
mod in_place;
mod integrations;
mod near;
mod recovery;
mod running;
mod sources;
#[path = "../support/store.rs"]
mod store;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod uploads;
mod webhooks;
