//! Client of the control plane API: ours or the hosted service.

mod api;
mod error;
mod retry;
mod storage;
mod tls;
mod upload;
mod watch;
mod webhooks;

pub use api::{Api, StartedImport};
pub use error::{CallError, CallErrorKind, StatusError};
pub use storage::UploadError;
pub use upload::{Journal, UploadEvent, UploadOptions, UploadSource, Uploaded, upload};
pub use watch::{Watch, WatchEvent, watch};

/// The `User-Agent` header.
pub const USER_AGENT: &str = concat!("capydb-cli/", env!("CARGO_PKG_VERSION"));

/// Builds the HTTP client. Redirects are not followed: a response must not decide where an API
/// key or a dump is sent.
fn http_client(base: &reqwest::Url) -> anyhow::Result<reqwest::Client> {
    // A control plane on this machine is reached without a proxy.
    let here = crate::util::net::is_loopback_url(base);
    let tls = tls::config(&["h2", "http/1.1"], base.scheme() == "https")?;
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    let builder = if here { builder.no_proxy() } else { builder };
    Ok(builder
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(15))
        .build()?)
}
