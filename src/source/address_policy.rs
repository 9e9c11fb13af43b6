//! The policy for source addresses: a control plane connects to public addresses only.

use super::{SourceUrl, UrlChange};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of a non-public address; `None` for a public address. An IPv4 address embedded in
/// an IPv6 address is classified as the IPv4 address.
pub fn private_kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => private_v4(v4),
        IpAddr::V6(v6) => private_v6(v6),
    }
}

/// Suffixes of internal host names.
const SUFFIXES: [&str; 7] = [".localhost", ".local", ".internal", ".lan", ".localdomain", ".home.arpa", ".flycast"];

/// Whether a host name refers to this machine or a private network, whatever it resolves to.
pub fn private_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

/// Why the hosted service cannot reach a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// The host is this machine or in a private network; holds the full message.
    Private(String),
    /// The host name resolves to IPv6 addresses only.
    Ipv6Only(String),
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Private(why) => f.write_str(why),
            Self::Ipv6Only(host) => write!(f, "{host} has only IPv6 addresses"),
        }
    }
}

/// Checks that the source's host is public, as resolved on this machine. A name that does not
/// resolve here passes; the service checks it again.
pub async fn check_public(url: &SourceUrl) -> Result<(), Unreachable> {
    let host = url.host().trim_end_matches('.');
    let shown = host.escape_default();
    let private = |why: String| Err(Unreachable::Private(why));
    if url.is_socket() {
        return private(format!("{shown} is a Unix socket on this machine"));
    }
    if private_name(host) {
        return private(format!("{shown} is an internal host name"));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return private_kind(address).map_or(Ok(()), |kind| private(format!("{shown} is {kind}")));
    }
    let looked = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, url.port()))).await;
    let Ok(Ok(found)) = looked else { return Ok(()) };
    check_addresses(&shown.to_string(), &found.map(|address| address.ip()).collect::<Vec<_>>())
}

/// Checks the addresses that a name resolves to.
fn check_addresses(name: &str, addresses: &[IpAddr]) -> Result<(), Unreachable> {
    if let Some((address, kind)) = addresses.iter().find_map(|address| Some((address, private_kind(*address)?))) {
        return Err(Unreachable::Private(format!("{name} resolves to {address}, which is {kind}")));
    }
    if !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv6) {
        return Err(Unreachable::Ipv6Only(name.to_owned()));
    }
    Ok(())
}

/// Whether a URL's host is an internal name or a private address. Makes no DNS query.
pub fn is_private(url: &SourceUrl) -> bool {
    private_name(url.host()) || url.host().parse().is_ok_and(|address| private_kind(address).is_some())
}

/// Normalizes a URL, whichever program connects: a server of this machine or of a private network often has
/// no TLS, so it is used there if the server has it; everywhere else it is required.
pub fn normalized(url: SourceUrl) -> (SourceUrl, Vec<UrlChange>) {
    if url.is_socket() || is_private(&url) { url.normalize_local() } else { url.normalize() }
}

/// Timeout for a DNS lookup.
const LOOKUP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

// IANA, "IPv4 Special-Purpose Address Registry".
fn private_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (169, 254, _) => "a link-local address",
        (100, 64..=127, _) => "a carrier-grade NAT address",
        (0 | 240.., ..) | (192, 0, 0) => "a reserved address",
        (224..=239, ..) => "a multicast address",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "a documentation address",
        (198, 18 | 19, _) => "a benchmarking address",
        (192, 88, 99) => "a relay address",
        _ => return None,
    })
}

// IANA, "IPv6 Special-Purpose Address Registry".
fn private_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if let Some(inner) = embedded_v4(address) {
        return private_v4(inner);
    }
    Some(match s[0] {
        _ if s[..6] == [0; 6] => "a reserved address", // unspecified and IPv4-compatible
        0xfc00..=0xfdff => "a unique local address",
        0xfe80..=0xfebf => "a link-local address",
        0xfec0..=0xfeff => "a site-local address",
        0xff00.. => "a multicast address",
        0x2001 if s[1] == 0xdb8 => "a documentation address",
        0x2002 => "a relay address", // 6to4: the relay decides the destination
        0x3fff if s[1] < 0x1000 => "a documentation address", // RFC 9637
        0x2001 if s[1] < 0x200 => "a reserved address", // Teredo, ORCHID, benchmarking
        0x2000..=0x3fff => return None,
        _ => "a reserved address",
    })
}

/// The IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, "IPv4-Mapped IPv6 Address").
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_recognized() {
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff:fff::1",
            "4000::1",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::7f00:1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "100::1",
            "5f00::1",
        ];
        for text in private {
            assert!(private_kind(text.parse().expect(text)).is_some(), "{text}");
        }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:1.1.1.1"] {
            assert_eq!(private_kind(text.parse().expect(text)), None, "{text}");
        }
    }

    #[test]
    fn resolved_addresses_are_checked() {
        let check = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("a valid address")).collect();
            check_addresses("db.example.com", &addresses).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["1.1.1.1", "2606:4700::1"]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["2606:4700::1"]), Err("db.example.com has only IPv6 addresses".into()));
        assert_eq!(
            check(&["1.1.1.1", "10.0.0.5"]),
            Err("db.example.com resolves to 10.0.0.5, which is a private address".into())
        );
    }

    #[test]
    fn private_names_are_recognized() {
        for name in ["localhost", "LOCALHOST.", "db.internal", "x.local", "a.b.lan"] {
            assert!(private_name(name), "{name}");
        }
        assert!(!private_name("db.example.com") && !private_name("internal.example.com"));
    }
}
