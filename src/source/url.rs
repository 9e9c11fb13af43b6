//! Source URLs: parsing, normalization and redacted display.

mod authority;
mod error;
mod host;
mod keywords;
mod parameters;
mod pasted;
mod placeholder;

pub use error::SourceUrlError;
use parameters::is_kept;

use std::fmt;
use std::sync::Arc;
use url::Url;

/// The URL of a source database. `Display` and `Debug` redact the password; only
/// [`SourceUrl::expose`] returns the URL with it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    host: String,
    database: String,
    /// What parsing changed.
    changes: Vec<UrlChange>,
    /// Certificates of the authorities that verify the server, in PEM format.
    authorities: Option<Arc<str>>,
}

/// A change to a URL as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlChange {
    /// This `sslmode` was added.
    SslModeAdded(&'static str),
    /// Parameters that do not affect a dump were removed; holds those that may be shown.
    ParametersDropped(String),
    /// The URL was taken from an assignment or from quotes.
    Extracted,
    /// The URL was made from text of this kind.
    Converted(&'static str),
    /// The scheme of a driver was replaced.
    SchemeReplaced(String),
    /// The parameters `user` and `password` became a part of the URL.
    LoginMoved,
    /// This parameter of a driver was read as this `sslmode`.
    SslModeRead(String, &'static str),
    /// The host name was converted to ASCII.
    HostToAscii(String),
}

impl fmt::Display for UrlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SslModeAdded(mode) => write!(f, "added sslmode={mode} to encrypt the connection"),
            Self::ParametersDropped(names) => {
                write!(f, "removed parameters that do not affect a dump: {names}")
            }
            Self::Extracted => f.write_str("read the URL from the pasted text"),
            Self::Converted(what) => write!(f, "read the {what} as a URL"),
            Self::SchemeReplaced(scheme) => write!(f, "replaced the scheme {scheme}:// with postgres://"),
            Self::LoginMoved => f.write_str("read user and password from the parameters"),
            Self::SslModeRead(parameter, mode) => write!(f, "read {parameter} as sslmode={mode}"),
            Self::HostToAscii(host) => write!(f, "looking up the host as {host}"),
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

impl SourceUrl {
    /// Parses a connection URL that the service connects to. Rejects Unix sockets.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        let source = Self::parse_local(text)?;
        if source.is_socket() { Err(SourceUrlError::Socket) } else { Ok(source) }
    }

    /// Parses a URL that this machine connects to, which may be a Unix socket.
    pub fn parse_local(text: &str) -> Result<Self, SourceUrlError> {
        let (text, mut changes) = pasted::to_url(text)?;
        // The parser would drop a line end, and join what was pasted after it to the URL.
        if text.contains(char::is_control) {
            return Err(SourceUrlError::Syntax("several lines, or a control character".into()));
        }
        let text = host::socket_into_host(&text).unwrap_or(text);
        authority::check_unambiguous(&text)?;
        placeholder::refuse_placeholders(&text)?;
        host::refuse_host_list(&text)?;
        let mut url = Url::parse(&text).map_err(|error| match error {
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
        let host = host::host_of(&mut url, &mut changes)?;
        changes.extend(parameters::settle(&mut url)?);
        let database = decode(url.path().trim_start_matches('/'))?;
        if database.is_empty() {
            return Err(SourceUrlError::NoDatabase);
        }
        if url.username().is_empty() {
            return Err(SourceUrlError::NoUser);
        }
        let source = Self { url, host, database, changes, authorities: None };
        decode(source.url.username())?;
        decode(source.url.password().unwrap_or_default())?;
        if let Some(word) = source.parameter("sslmode")
            && SslMode::parse(&word).is_none()
        {
            // An unencoded `&` makes a part of a password look like a parameter.
            let is_word = word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            return Err(SourceUrlError::SslMode(if is_word { word } else { "…".to_owned() }));
        }
        Ok(source)
    }

    /// Adds `sslmode=require` unless the URL sets `sslmode`, removes parameters that do not affect
    /// a dump, and returns the changes.
    #[must_use]
    pub fn normalize(self) -> (Self, Vec<UrlChange>) {
        let mode = if self.authorities.is_some() { "verify-full" } else { "require" };
        self.normalize_with(mode)
    }

    /// Normalizes the URL of a local or private server, which often has no TLS.
    #[must_use]
    pub fn normalize_local(self) -> (Self, Vec<UrlChange>) {
        let mode = match &self.authorities {
            _ if self.is_socket() => "disable",
            Some(_) => "verify-full",
            None => "prefer",
        };
        let (url, mut changes) = self.normalize_with(mode);
        changes.retain(|change| !matches!(change, UrlChange::SslModeAdded("disable" | "prefer"))); // as libpq does
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
                dropped.push(name.into_owned());
            }
        }
        let mut changes = std::mem::take(&mut self.changes);
        if !kept.iter().any(|(name, _)| name == "sslmode") {
            kept.push(("sslmode".into(), mode.into()));
            changes.push(UrlChange::SslModeAdded(mode));
        }
        if !dropped.is_empty() {
            changes.push(UrlChange::ParametersDropped(parameters::shown_names(&dropped)));
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
        let mode = self.parameter("sslmode").and_then(|word| SslMode::parse(&word)).unwrap_or(SslMode::Prefer);
        // As in libpq, a given authority is not ignored.
        if mode == SslMode::Require && self.authorities.is_some() { SslMode::VerifyCa } else { mode }
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

    /// The certificates of the authorities that verify the server instead of the system's, in PEM format.
    pub fn authorities(&self) -> Option<&str> {
        self.authorities.as_deref()
    }

    /// The same URL, whose server these authorities verify (PEM); `None` if the text has no valid
    /// certificate.
    #[must_use]
    pub fn with_authorities(self, pem: &str) -> Option<Self> {
        super::tls::certificates(pem)?;
        Some(Self { authorities: Some(pem.into()), ..self })
    }

    /// The same URL with a password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let mut changed = self.clone();
        let _ = changed.url.set_password(Some(&encode(password))); // fails only without a host
        changed
    }

    /// The same URL with another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let mut changed = self.clone();
        changed.url.set_path(&encode(database));
        database.clone_into(&mut changed.database);
        changed
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        self.url.query_pairs().filter(|(name, _)| name == wanted).last().map(|(_, value)| value.into_owned())
    }
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
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad_escape()); // `from_str_radix` accepts a sign
        }
        let digits = std::str::from_utf8(digits).map_err(|_| bad_escape())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad_escape())?);
        rest = after;
    }
    if bytes.contains(&0) {
        return Err(bad_escape());
    }
    String::from_utf8(bytes).map_err(|_| bad_escape())
}

/// Percent-encodes all but unreserved characters (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
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
