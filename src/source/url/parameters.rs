//! The parameters of a URL: which are kept, translated, or refused.

use super::{SourceUrlError, UrlChange, decode};
use url::Url;

/// Whether a parameter is kept; all others do not affect a dump and are removed.
pub(super) fn is_kept(name: &str, value: &str) -> bool {
    match name {
        "sslmode" => true,
        "channel_binding" => ["disable", "prefer", "require"].contains(&value),
        // Neon routes by `endpoint`, formerly `project`, for clients without SNI. Any other option could
        // change how the server interprets our queries.
        "options" => {
            let id = value.strip_prefix("endpoint=").or_else(|| value.strip_prefix("project="));
            id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        }
        _ => false,
    }
}

/// Parameters of libpq, drivers and frameworks that do not affect a dump. Other names are not shown: an
/// unencoded `&` makes a part of a password look like one.
const HARMLESS: [&str; 36] = [
    "adapter",
    "application_name",
    "channel_binding",
    "charset",
    "client_encoding",
    "connect_timeout",
    "connection_limit",
    "currentSchema",
    "encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "pgbouncer",
    "pool",
    "pool_mode",
    "pool_size",
    "pool_timeout",
    "prepareThreshold",
    "prepared_statements",
    "schema",
    "search_path",
    "serverVersion",
    "socket_timeout",
    "sslaccept",
    "sslmode",
    "sslnegotiation",
    "statement_cache_size",
    "statement_timeout",
    "target_session_attrs",
    "timezone",
    "uselibpqcompat",
];

/// The names of removed parameters, for a message.
pub(super) fn shown_names(names: &[String]) -> String {
    let known = |name: &&String| HARMLESS.contains(&name.as_str());
    let mut shown: Vec<String> = names.iter().filter(known).cloned().collect();
    match (shown.len(), names.len() - shown.len()) {
        (_, 0) => {}
        (0, others) => shown.push(others.to_string()),
        (_, others) => shown.push(format!("{others} more")),
    }
    shown.join(", ")
}

/// Why a parameter is rejected: it would override a part of the URL or read a local file.
fn refusal(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "host" | "hostaddr" | "port" | "user" | "password" | "dbname" => {
            "write the value in the URL itself: postgres://user:password@host:port/database"
        }
        "service" | "servicefile" | "passfile" => "local files are not read",
        "sslrootcert" => "give the file of the certificate authority with --source-ca FILE",
        "sslcert" | "sslkey" | "sslcrl" | "sslcrldir" | "sslpassword" => "client certificates are not supported",
        "krbsrvname" | "gsslib" | "gssdelegation" | "requirepeer" => {
            "only password authentication over the network is supported"
        }
        _ => return None,
    })
}

/// Moves `user` and `password` into the URL and translates the parameters of drivers; refuses those
/// that cannot be used. Returns the changes.
pub(super) fn settle(url: &mut Url) -> Result<Vec<UrlChange>, SourceUrlError> {
    let mut changes = Vec::new();
    let pairs: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let named = |wanted: &str| pairs.iter().rfind(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let mut kept = Vec::new();
    if url.username().is_empty()
        && let Some(user) = named("user")
    {
        set(url, &user, named("password").as_deref())?;
        changes.push(UrlChange::LoginMoved);
    }
    let own = (decode(url.username())?, url.password().map(decode).transpose()?);
    for (name, value) in &pairs {
        let repeats = (name == "user" && *value == own.0) || (name == "password" && own.1.as_ref() == Some(value));
        // The system's root certificates are used in any case.
        if repeats || (name == "sslrootcert" && value == "system") {
            continue;
        }
        if let Some(why) = refusal(name) {
            return Err(SourceUrlError::Parameter(name.clone(), why));
        }
        let mode = ssl_mode(name, value).filter(|_| name == "sslmode" || named("sslmode").is_none());
        match mode {
            Some(mode) if mode != value || name != "sslmode" => {
                changes.push(UrlChange::SslModeRead(format!("{name}={value}"), mode));
                kept.push(("sslmode".to_owned(), mode.to_owned()));
            }
            _ => kept.push((name.clone(), value.clone())),
        }
    }
    if kept != pairs {
        url.set_query(None);
    }
    if kept != pairs && !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Ok(changes)
}

fn set(url: &mut Url, user: &str, password: Option<&str>) -> Result<(), SourceUrlError> {
    let encoded = password.map(super::encode);
    let done = url.set_username(&super::encode(user)).and_then(|()| url.set_password(encoded.as_deref()));
    done.map_err(|()| SourceUrlError::NoHost)
}

/// The `sslmode` that a parameter of a driver means: node-postgres's `sslmode=no-verify`, the `ssl` of
/// JDBC, node-postgres and asyncpg. `None` if it means none.
fn ssl_mode(name: &str, value: &str) -> Option<&'static str> {
    match (name, value.to_ascii_lowercase().as_str()) {
        ("sslmode" | "ssl", "no-verify") => Some("require"),
        ("ssl", "true" | "1" | "on") => Some("require"),
        ("ssl", "false" | "0" | "off") => Some("disable"),
        ("sslmode" | "ssl", mode) => ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
            .into_iter()
            .find(|known| *known == mode),
        _ => None,
    }
}
