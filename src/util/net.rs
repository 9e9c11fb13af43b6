//! Loopback addresses.

use std::net::IpAddr;
use url::Url;

/// Whether a host is `localhost` or a loopback address, with or without brackets.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether the host of a URL is a loopback host.
pub fn is_loopback_url(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognized_in_every_form() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example.com", "10.0.0.1", "::2", "[::ffff:10.0.0.1]", "db.example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
        let url = |text: &str| Url::parse(text).expect("a valid URL");
        assert!(is_loopback_url(&url("http://[::1]:8080/x")) && is_loopback_url(&url("https://127.1/")));
        assert!(!is_loopback_url(&url("https://127.0.0.1.example.com/")));
    }
}
