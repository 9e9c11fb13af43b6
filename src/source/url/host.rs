//! The host of a URL: a name, an address, or the directory of a Unix socket.

use super::{SourceUrlError, UrlChange, decode};
use url::Url;

/// Rewrites `postgres://user@/db?host=/directory` to `postgres://user@%2Fdirectory/db`.
pub(super) fn socket_into_host(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, rest) = rest.split_once('/')?;
    let (path, query) = rest.split_once('?')?;
    let folder = query.split('&').find_map(|pair| {
        let value = pair.strip_prefix("host=")?;
        decode(value).ok().filter(|folder| folder.starts_with('/'))
    })?;
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("host=")).collect();
    let (user, port) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    // A host in the URL contradicts the parameter.
    if !port.is_empty() && !port.starts_with(':') {
        return None;
    }
    let folder: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
    Some(format!("{scheme}://{user}{folder}{port}/{path}?{}", others.join("&")).trim_end_matches('?').to_owned())
}

/// Rejects a list of hosts before parsing: the URL parser accepts some forms of it.
pub(super) fn refuse_host_list(text: &str) -> Result<(), SourceUrlError> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') || hosts.to_ascii_lowercase().contains("%2c") {
        return Err(SourceUrlError::SeveralHosts);
    }
    Ok(())
}

/// Host of a URL, decoded, without the brackets of an IPv6 address. A name that is not ASCII is
/// converted, because resolvers look up only that form.
pub(super) fn host_of(url: &mut Url, changes: &mut Vec<UrlChange>) -> Result<String, SourceUrlError> {
    let host = decode(url.host_str().unwrap_or_default())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(SourceUrlError::NoHost);
    }
    let socket = host.starts_with('/') || host.starts_with('@');
    if !socket && host.contains([',', ' ']) || host.chars().any(char::is_control) {
        return Err(SourceUrlError::SeveralHosts);
    }
    if socket || host.is_ascii() {
        return Ok(host);
    }
    let Ok(url::Host::Domain(ascii)) = url::Host::parse(&host) else {
        return Err(SourceUrlError::Syntax("invalid host name".into()));
    };
    url.set_host(Some(&ascii)).map_err(|error| SourceUrlError::Syntax(error.to_string()))?;
    changes.push(UrlChange::HostToAscii(ascii.clone()));
    Ok(ascii)
}
