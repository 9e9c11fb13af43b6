//! Where the password of a URL ends. An unencoded `@`, `/`, `?` or `#` in it moves the end of the
//! authority (RFC 3986, 3.2), and what follows would be taken for a host or a database: it would be
//! shown, and dialled.

use super::SourceUrlError;

/// Parameters whose values may contain `@`: libpq's and those of common drivers.
const PARAMETERS: [&str; 8] =
    ["user", "password", "application_name", "options", "fallback_application_name", "schema", "currentschema", "name"];

/// Fails if the URL has more than one reading: if an `@` follows what would be the end of the authority.
pub(super) fn check_unambiguous(url: &str) -> Result<(), SourceUrlError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if !after.contains('@') {
        return Ok(());
    }
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    let in_query = !path.contains('@') && !path.contains('#') && query.split('&').all(is_plain_parameter);
    // Without an `@` before it, a `?` may belong to the password of `user:password@host/database`.
    let has_host = authority.contains('@') || !authority.contains(':') || is_host_and_port(authority);
    if in_query && has_host { Ok(()) } else { Err(SourceUrlError::Ambiguous) }
}

/// Whether a parameter is one in which an `@` cannot end a password.
fn is_plain_parameter(pair: &str) -> bool {
    if !pair.contains('@') {
        return true;
    }
    let Some((name, value)) = pair.split_once('=') else { return false };
    PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) && !value.contains(['/', '#', '?'])
}

fn is_host_and_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(host, port)| host.contains(['.', ']']) && port.parse::<u16>().is_ok())
        || authority.starts_with("localhost:")
}
