//! The address and names of the API.

use super::BASE;
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// The address of the API and the host names it accepts.
pub(in crate::server) struct ApiHost {
    /// Listen address.
    pub(in crate::server) address: SocketAddr,
    /// Public URL behind a proxy.
    pub(in crate::server) public: Option<Url>,
}

impl ApiHost {
    /// The base URL of the API, for clients.
    pub(in crate::server) fn api_url(&self) -> String {
        match &self.public {
            Some(url) => format!("{}{BASE}", url.as_str().trim_end_matches('/')),
            None => format!("http://{}{BASE}", self.address),
        }
    }

    /// Whether a `Host` header names this API: the public name, or a local address with the listen port.
    pub(super) fn answers_to(&self, host: &str) -> bool {
        if let Some(url) = &self.public
            && names(host, url.scheme()) == names(url.authority(), url.scheme())
        {
            return true;
        }
        let port = self.address.port();
        let Some(name) = host.strip_suffix(&format!(":{port}")).or_else(|| (port == 80).then_some(host)) else {
            return false;
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback() || address == self.address.ip())
    }
}

/// Host and port of an authority; the port defaults to the scheme's.
fn names(authority: &str, scheme: &str) -> Option<(Host<String>, u16)> {
    let url = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(())?;
    Some((url.host()?.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_host_names_are_accepted() {
        let public = Url::parse("https://db.example.com").expect("a valid URL");
        let host = ApiHost { address: "10.0.0.7:7654".parse().expect("a valid address"), public: Some(public) };
        assert_eq!(host.api_url(), "https://db.example.com/api/capydb");
        for own in ["db.example.com", "DB.example.com:443", "localhost:7654", "127.0.0.1:7654", "10.0.0.7:7654"] {
            assert!(host.answers_to(own), "{own}");
        }
        for foreign in
            ["db.example.com:7654", "evil.example", "x@db.example.com", "db.example.com/x", "10.0.0.8:7654", ""]
        {
            assert!(!host.answers_to(foreign), "{foreign}");
        }
        let host = ApiHost { address: "127.0.0.1:80".parse().expect("a valid address"), public: None };
        assert!(host.answers_to("localhost") && host.answers_to("[::1]:80") && !host.answers_to("10.0.0.1"));
    }
}
