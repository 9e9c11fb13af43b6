//! `capydb` moves a Postgres database into `CapyDB`, and runs the control plane that does it.
//!
//! Dependencies point down this list:
//!
//! - [`cli`]: what a person types and sees.
//! - `server`: a control plane (feature `server`).
//! - [`client`]: calling a control plane.
//! - [`preflight`]: facts and limits become a graded report.
//! - [`source`]: a live source database. [`dump`]: a dump file. [`config`]: saved settings.
//! - [`wire`]: the API's JSON shapes. [`platforms`]: marks of the providers' platforms. [`text`]: text from elsewhere, made safe to show.
//!   [`identity`]: by what a file is known again.

pub mod cli;
pub mod client;
pub mod config;
pub mod dump;
pub mod identity;
pub mod platforms;
pub mod preflight;
#[cfg(feature = "server")]
pub mod server;
pub mod source;
pub mod text;
pub mod wire;
