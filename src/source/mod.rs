//! Live source databases: URLs, address policy, connections and inspection.

pub mod address_policy;
pub(crate) mod bounded_stream;
pub mod connect;
pub mod credentials;
pub mod inspect;
pub mod pg_programs;
mod probes;
pub mod providers;
pub mod risks;
pub(crate) mod tls;
mod url;

pub use url::{SourceUrl, SourceUrlError, SslMode, UrlChange};
