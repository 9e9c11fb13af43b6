//! A live source database: its URL, the addresses that it may lead to, and what it holds.

#[cfg(feature = "server")]
pub mod connect;
#[cfg(feature = "server")]
pub mod inspect;
pub mod providers;
#[cfg(feature = "server")]
pub mod reach;
#[cfg(feature = "server")]
mod tls;
mod url;

pub use url::{SourceUrl, SslMode, UrlProblem};
