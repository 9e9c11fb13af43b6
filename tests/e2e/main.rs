//! End-to-end tests: the built program, a real control plane, and real Postgres servers.
#![cfg(feature = "server")]

mod account;
mod api;
mod bucket;
mod database;
mod dev;
mod documents;
mod dumps;
mod first_steps;
mod imports;
mod in_place;
mod integrations;
#[path = "../support/object_store.rs"]
mod object_store;
mod progress_and_cancel;
mod recovery;
mod server_preflight;
mod several_files;
mod source_urls;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod uploads;
mod via_dump;
mod webhooks;
