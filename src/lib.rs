//! `capydb` imports Postgres databases into `CapyDB` and runs the control plane for these imports.
//!
//! A module depends only on modules below it in this list:
//!
//! - [`cli`]: the command line.
//! - `server`: a control plane (feature `server`).
//! - [`client`]: the API client.
//! - [`preflight`]: graded reports on a source.
//! - [`source`]: a live source database. [`dump`]: a dump file. [`config`]: saved settings.
//! - [`wire`]: the API's JSON types. [`platforms`]: objects that belong to a provider's platform.
//!   [`util`]: domain-independent helpers for files, addresses, processes and text.

pub mod cli;
pub mod client;
pub mod config;
pub mod dump;
pub mod platforms;
pub mod preflight;
#[cfg(feature = "server")]
pub mod server;
pub mod source;
pub mod util;
pub mod wire;
