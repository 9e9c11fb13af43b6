//! Source URLs: parsing, normalization and redacted display.

mod error;

pub use error::SourceUrlError;

use std::fmt;
use url::Url;

/// The URL of a source database. `Display` and `Debug` redact the password; only
/// [`SourceUrl::expose`] returns the URL with it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    host: String,
    database: String,
}

/// A change that [`SourceUrl::normalize`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlChange {
    /// This `sslmode` was added.
    SslModeAdded(&'static str),
    /// These parameters, which do not affect a dump, were removed.
    ParametersDropped(Vec<String>),
}

impl fmt::Display for UrlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SslModeAdded(mode) => write!(f, "added sslmode={mode} to encrypt the connection"),
            Self::ParametersDropped(names) => {
                write!(f, "removed parameters that do not affect a dump: {}", names.join(", "))
            }
        }
    }
}

/// A value of `sslmode` (libpq, "SSL Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server supports it; also stands for `allow`.
    Prefer,
    /// TLS with any certificate.
    Require,
    /// TLS with a certificate from a trusted authority.
    VerifyCa,
    /// TLS with a certificate from a trusted authority for this host.
    VerifyFull,
}

impl SslMode {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Whether a parameter is kept; all others do not affect a dump and are removed.
fn is_kept(name: &str, value: &str) -> bool {
    match name {
        "sslmode" => true,
        "channel_binding" => ["disable", "prefer", "require"].contains(&value),
        // Neon routes by `endpoint` for clients without SNI. Any other option could change how the
        // server interprets our queries.
        "options" => value
            .strip_prefix("endpoint=")
            .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
        _ => false,
    }
}

/// Why a parameter is rejected: it would override a part of the URL or read a local file.
fn refusal(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "host" | "hostaddr" | "port" | "user" | "password" | "dbname" => {
            "write the value in the URL itself: postgres://user:password@host:port/database"
        }
        "service" | "servicefile" | "passfile" => "local files are not read",
        "sslcert" | "sslkey" | "sslrootcert" | "sslcrl" | "sslcrldir" | "sslpassword" => {
            "client certificates are not supported; for a certificate authority of your own, set SSL_CERT_FILE"
        }
        "krbsrvname" | "gsslib" | "gssdelegation" | "requirepeer" => {
            "only password authentication over the network is supported"
        }
        _ => return None,
    })
}

impl SourceUrl {
    /// Parses a connection URL that the service connects to. Rejects Unix sockets.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        let source = Self::parse_local(text)?;
        if source.is_socket() { Err(SourceUrlError::Socket) } else { Ok(source) }
    }

    /// Parses a URL that this machine connects to, which may be a Unix socket.
    pub fn parse_local(text: &str) -> Result<Self, SourceUrlError> {
        let moved = socket_into_host(text.trim());
        let text = moved.as_deref().unwrap_or(text.trim());
        if text.is_empty() {
            return Err(SourceUrlError::Empty);
        }
        let text = text.trim_matches(['"', '\'']); // as pasted from a .env file
        check_scheme(text)?;
        refuse_host_list(text)?;
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => SourceUrlError::Port,
            url::ParseError::EmptyHost => SourceUrlError::NoHost,
            other => SourceUrlError::Syntax(other.to_string()),
        })?;
        if url.fragment().is_some() {
            return Err(SourceUrlError::Syntax("unencoded `#`".into()));
        }
        if url.port() == Some(0) {
            return Err(SourceUrlError::Port);
        }
        for (name, value) in url.query_pairs() {
            // The system's root certificates are used in any case.
            let usual = name == "sslrootcert" && value == "system";
            if let Some(why) = refusal(&name).filter(|_| !usual) {
                return Err(SourceUrlError::Parameter(name.into_owned(), why));
            }
        }
        let host = decode(url.host_str().unwrap_or_default())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(SourceUrlError::NoHost);
        }
        let socket = host.starts_with('/') || host.starts_with('@');
        if !socket && host.contains([',', ' ']) || host.chars().any(char::is_control) {
            return Err(SourceUrlError::SeveralHosts);
        }
        let database = decode(url.path().trim_start_matches('/'))?;
        if database.is_empty() {
            return Err(SourceUrlError::NoDatabase);
        }
        if url.username().is_empty() {
            return Err(SourceUrlError::NoUser);
        }
        let source = Self { url, host, database };
        decode(source.url.username())?;
        decode(source.url.password().unwrap_or_default())?;
        if let Some(word) = source.parameter("sslmode")
            && SslMode::parse(&word).is_none()
        {
            return Err(SourceUrlError::SslMode(word.escape_default().take(40).collect()));
        }
        Ok(source)
    }

    /// Adds `sslmode=require` unless the URL sets `sslmode`, removes parameters that do not affect
    /// a dump, and returns the changes.
    #[must_use]
    pub fn normalize(self) -> (Self, Vec<UrlChange>) {
        self.normalize_with("require")
    }

    /// Normalizes the URL of a local or private server, which often has no TLS.
    #[must_use]
    pub fn normalize_local(self) -> (Self, Vec<UrlChange>) {
        let mode = if self.is_socket() { "disable" } else { "prefer" };
        let (url, mut changes) = self.normalize_with(mode);
        changes.retain(|change| !matches!(change, UrlChange::SslModeAdded(_))); // libpq's default
        (url, changes)
    }

    fn normalize_with(mut self, mode: &'static str) -> (Self, Vec<UrlChange>) {
        let mut kept: Vec<(String, String)> = Vec::new();
        let mut dropped: Vec<String> = Vec::new();
        for (name, value) in self.url.query_pairs() {
            if is_kept(&name, &value) {
                kept.retain(|(known, _)| *known != name); // the last value wins, as in libpq
                kept.push((name.into_owned(), value.into_owned()));
            } else {
                dropped.push(name.escape_default().take(40).collect());
            }
        }
        let mut changes = Vec::new();
        if !kept.iter().any(|(name, _)| name == "sslmode") {
            kept.push(("sslmode".into(), mode.into()));
            changes.push(UrlChange::SslModeAdded(mode));
        }
        if !dropped.is_empty() {
            changes.push(UrlChange::ParametersDropped(dropped));
        }
        self.url.query_pairs_mut().clear().extend_pairs(kept);
        (self, changes)
    }

    /// The URL including its password.
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }

    /// Host name or address, decoded, without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host is the directory of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/') || self.host.starts_with('@')
    }

    /// Port; 5432 by default.
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(5432)
    }

    /// User name, decoded.
    pub fn user(&self) -> String {
        decode(self.url.username()).unwrap_or_default()
    }

    /// Password, decoded.
    pub fn password(&self) -> Option<String> {
        self.url.password().and_then(|password| decode(password).ok())
    }

    /// Database name, decoded.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The TLS mode; `prefer` by default, as in libpq.
    pub fn ssl_mode(&self) -> SslMode {
        self.parameter("sslmode").and_then(|word| SslMode::parse(&word)).unwrap_or(SslMode::Prefer)
    }

    /// The value of `channel_binding`, which binds the login to the TLS connection.
    pub fn channel_binding(&self) -> Option<String> {
        self.parameter("channel_binding").filter(|value| is_kept("channel_binding", value))
    }

    /// The value of `options`, which some providers use for routing.
    pub fn options(&self) -> Option<String> {
        self.parameter("options").filter(|value| is_kept("options", value))
    }

    /// The same URL with another host.
    #[must_use]
    pub fn with_host(&self, host: &str) -> Self {
        let mut changed = self.clone();
        if changed.url.set_host(Some(host)).is_ok() {
            host.clone_into(&mut changed.host);
        }
        changed
    }

    /// The same URL with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        let mut changed = self.clone();
        let _ = changed.url.set_port(Some(port)); // fails only without a host
        changed
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        self.url.query_pairs().filter(|(name, _)| name == wanted).last().map(|(_, value)| value.into_owned())
    }
}

/// Rewrites `postgres://user@/db?host=/directory` to `postgres://user@%2Fdirectory/db`.
fn socket_into_host(text: &str) -> Option<String> {
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

fn check_scheme(text: &str) -> Result<(), SourceUrlError> {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if ["postgres", "postgresql"].contains(&scheme.as_str()) {
        return Ok(());
    }
    if scheme.starts_with("prisma") {
        return Err(SourceUrlError::PrismaProxy);
    }
    Err(SourceUrlError::Scheme(shown_start(text)))
}

/// Rejects a list of hosts before parsing: the URL parser accepts some forms of it.
fn refuse_host_list(text: &str) -> Result<(), SourceUrlError> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') || hosts.to_ascii_lowercase().contains("%2c") {
        return Err(SourceUrlError::SeveralHosts);
    }
    Ok(())
}

/// The scheme of the text, which cannot contain a password.
fn shown_start(text: &str) -> String {
    let scheme = text.split("://").next().unwrap_or_default();
    let plain: String =
        scheme.chars().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).take(20).collect();
    if text.contains("://") && !plain.is_empty() { format!("`{plain}://`") } else { "no scheme".into() }
}

fn decode(text: &str) -> Result<String, SourceUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = tail.split_at_checked(2).ok_or_else(bad_escape)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad_escape())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad_escape())?);
        rest = after;
    }
    if bytes.contains(&0) {
        return Err(bad_escape());
    }
    String::from_utf8(bytes).map_err(|_| bad_escape())
}

fn bad_escape() -> SourceUrlError {
    SourceUrlError::Syntax("invalid percent-encoding".into())
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        if shown.password().is_some() {
            let _ = shown.set_password(Some("***")); // fails only without a host
        }
        let others: Vec<_> = self.url.query_pairs().filter(|(name, value)| is_kept(name, value)).collect();
        if others.is_empty() {
            shown.set_query(None);
        } else {
            shown.query_pairs_mut().clear().extend_pairs(others);
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

#[cfg(test)]
mod tests;
