//! A live source database: its URL, the addresses that it may lead to, and what it holds.

pub mod connect;
pub mod hazards;
pub mod inspect;
pub(crate) mod limited;
pub mod programs;
pub mod providers;
pub mod reach;
pub(crate) mod tls;
mod url;

pub use url::{SourceUrl, SslMode, UrlProblem};
