//! `capydb` moves a Postgres database into `CapyDB`, and runs the control plane that does it.
//!
//! Dependencies point down this list:
//!
//! - [`cli`]: what a person types and sees.
//! - `server`: a control plane (feature `server`).
//! - [`client`]: calling a control plane.
//! - [`preflight`]: facts and limits become a graded report.
//! - [`source`]: a live source database. [`dump`]: a dump file. [`config`]: saved settings.
//! - [`wire`]: the API's JSON shapes. [`platforms`]: objects that belong to a provider's platform.
//!   [`util`]: files, addresses, processes and text, without a domain.

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
