//! HTTP clients for URLs that users configure. Such URLs are untrusted: they must not reach our own
//! network, and redirects are not followed.

use crate::source::address_policy::{private_kind, private_name};
use crate::util::error::innermost;
use crate::util::net::is_loopback_url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// The `User-Agent` of webhook deliveries (the API's rules).
pub(crate) const WEBHOOK_AGENT: &str = "capydb-webhooks/1.0";

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a whole request.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a URL, in bytes.
const MAX_URL: usize = 2000;

/// A builder for all HTTP clients of the control plane, without redirects.
pub(crate) fn http() -> reqwest::ClientBuilder {
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none())
}

/// A client for webhook endpoints. Every address is checked before connecting. Proxies are disabled,
/// because they would resolve the name again.
pub(crate) fn webhook_client(allow_loopback: bool) -> anyhow::Result<reqwest::Client> {
    let client = http()
        .user_agent(WEBHOOK_AGENT)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .pool_max_idle_per_host(1)
        .dns_resolver(Arc::new(PublicOnlyResolver { allow_loopback }));
    Ok(client.build()?)
}

/// A client for the APIs of integration providers.
pub(crate) fn provider_client() -> anyhow::Result<reqwest::Client> {
    let agent = concat!("capydb-integrations/", env!("CARGO_PKG_VERSION"));
    Ok(http().user_agent(agent).connect_timeout(CONNECT_TIMEOUT).timeout(2 * CALL_TIMEOUT).build()?)
}

/// Parses the URL of a receiver, or returns why it is not allowed. `allow_loopback` allows this machine,
/// also with plain HTTP.
pub(crate) fn parse_receiver_url(text: &str, allow_loopback: bool) -> Result<Url, String> {
    let too_long = |text: &str| text.len() > MAX_URL;
    let longest = || format!("url must not be longer than {MAX_URL} bytes");
    let url = if too_long(text.trim()) { return Err(longest()) } else { Url::parse(text.trim()) };
    let url = url.map_err(|error| format!("url is invalid: {error}"))?;
    if too_long(url.as_str()) {
        return Err(longest());
    }
    if url.fragment().is_some() {
        return Err("url must not have a fragment (#…)".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url must not contain a user or password; verify deliveries by their signature".to_owned());
    }
    let here = allow_loopback && is_loopback_url(&url);
    if url.scheme() != "https" && !(here && url.scheme() == "http") {
        return Err("url must begin with https://".to_owned());
    }
    let private = |what: &str| Err(format!("url must have a public address, but {what}"));
    let address = match url.host() {
        None => return Err("url has no host".to_owned()),
        Some(Host::Domain(name)) if private_name(name) && !here => return private("the host is an internal name"),
        Some(Host::Domain(_)) => return Ok(url),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
    };
    match private_kind(address) {
        Some(kind) if !here => private(&format!("the host is {kind}")),
        _ => Ok(url),
    }
}

/// Resolves names to public addresses only.
struct PublicOnlyResolver {
    allow_loopback: bool,
}

impl Resolve for PublicOnlyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            check_public(found, allow_loopback).map(|found| Box::new(found.into_iter()) as Addrs).map_err(Into::into)
        })
    }
}

/// Fails if any address is private, because the client may connect to any of them.
fn check_public(found: Vec<SocketAddr>, allow_loopback: bool) -> Result<Vec<SocketAddr>, String> {
    let bad = |address: &SocketAddr| {
        let allowed = allow_loopback && address.ip().is_loopback();
        private_kind(address.ip()).filter(|_| !allowed)
    };
    match found.iter().find_map(bad) {
        Some(kind) => Err(format!("the name resolves to an address that is not public: {kind}")),
        None => Ok(found),
    }
}

/// Describes the error of a request, with nothing of the URL but its host.
pub(crate) fn error(error: &reqwest::Error) -> String {
    let host = error.url().and_then(Url::host_str).unwrap_or("the receiver");
    if error.is_timeout() {
        return format!("{host} did not respond in time");
    }
    // Only the innermost cause, because the outer ones contain the URL.
    format!("cannot reach {host}: {}", innermost(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_urls_must_be_public_and_use_https() {
        for valid in ["https://hooks.example.com/x?y=1", "https://1.1.1.1/", "https://[2606:4700::1]:8443/a"] {
            assert!(parse_receiver_url(valid, false).is_ok(), "{valid}");
        }
        for invalid in [
            "",
            "hooks.example.com",
            "ftp://hooks.example.com/",
            "http://hooks.example.com/",
            "https://user:secret@hooks.example.com/",
            "https://localhost/",
            "https://db.internal/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://hooks.example.com/#here",
        ] {
            assert!(parse_receiver_url(invalid, false).is_err(), "{invalid}");
        }
        for local in ["http://127.0.0.1:8080/hook", "http://localhost/", "https://[::1]/"] {
            assert!(parse_receiver_url(local, true).is_ok(), "{local}");
        }
        for invalid in ["http://10.0.0.1/", "http://hooks.example.com/", "https://169.254.169.254/", "http://0.0.0.0/"]
        {
            assert!(parse_receiver_url(invalid, true).is_err(), "{invalid}");
        }
    }

    #[test]
    fn every_address_of_a_name_must_be_public() {
        let addresses =
            |list: &[&str]| list.iter().map(|text| text.parse().expect("a valid address")).collect::<Vec<_>>();
        assert!(check_public(addresses(&["1.1.1.1:0"]), false).is_ok());
        assert!(check_public(addresses(&["1.1.1.1:0", "10.0.0.1:0"]), false).is_err());
        assert!(check_public(addresses(&["127.0.0.1:0"]), false).is_err());
        assert!(check_public(addresses(&["127.0.0.1:0"]), true).is_ok());
        assert!(check_public(addresses(&["127.0.0.1:0", "192.168.1.1:0"]), true).is_err());
    }
}
