use std::fmt;
use url::Url;

/// The URL of a source database. It holds a password: only [`SourceUrl::expose`] gives it
/// out, `Display` and `Debug` show it redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    host: String,
    database: String,
}

/// Why a text is not the URL of one Postgres database. The messages never quote the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceUrlError {
    /// Nothing was given.
    #[error("the URL is empty")]
    Empty,
    /// Another kind of URL.
    #[error("the URL starts with {0}, not with postgres:// or postgresql://")]
    Scheme(String),
    /// The address of an HTTP proxy in front of a database.
    #[error("the URL is the address of a Prisma HTTP proxy, not of a Postgres server")]
    PrismaProxy,
    /// The URL itself cannot be read.
    #[error(
        "the URL cannot be read ({0}); special characters in the user name or password must be percent-encoded (@ is %40, / is %2F, # is %23)"
    )]
    Syntax(String),
    /// No host, so this would mean a socket on some machine.
    #[error("the URL names no host")]
    NoHost,
    /// A Unix socket.
    #[error("the URL names a Unix socket; the import needs a host that it can reach over the network")]
    Socket,
    /// A list of hosts.
    #[error("the URL names several hosts; give the one to copy from")]
    SeveralHosts,
    /// A port that is no port.
    #[error(
        "the URL has a bad port; it must be a number from 1 to 65535, and special characters in the password must be percent-encoded (/ is %2F, # is %23, ? is %3F)"
    )]
    Port,
    /// No database.
    #[error("the URL names no database; add its name after the host: postgres://user@host:5432/DATABASE")]
    NoDatabase,
    /// No user.
    #[error("the URL names no user")]
    NoUser,
    /// A parameter that points at something outside the URL.
    #[error("the URL has the parameter `{0}`, which cannot be used here: {1}")]
    Parameter(String, &'static str),
    /// A word after `sslmode=` that libpq does not know.
    #[error("the URL has sslmode={0}; it must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode(String),
}

/// What was changed in a URL before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlChange {
    /// This `sslmode` was added.
    SslModeAdded(&'static str),
    /// These parameters were dropped, because they do not matter for a dump.
    ParametersDropped(Vec<String>),
}

impl fmt::Display for UrlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SslModeAdded(mode) => write!(f, "added sslmode={mode}, so the connection is encrypted"),
            Self::ParametersDropped(names) => {
                write!(f, "dropped parameters that do not matter for a dump: {}", names.join(", "))
            }
        }
    }
}

/// What `sslmode` asks for (libpq, "SSL Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it; `allow` is taken as this too.
    Prefer,
    /// TLS, with whatever certificate.
    Require,
    /// TLS, with a certificate from a known authority.
    VerifyCa,
    /// TLS, with a certificate from a known authority for this host.
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

/// Whether a parameter stays; all others mean nothing to a dump and are taken out.
fn is_kept(name: &str, value: &str) -> bool {
    match name {
        "sslmode" => true,
        "channel_binding" => ["disable", "prefer", "require"].contains(&value),
        // Neon routes by it where a client does not name the server in TLS. All else that
        // `options` can hold changes how the server reads our queries.
        "options" => value
            .strip_prefix("endpoint=")
            .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
        _ => false,
    }
}

/// Parameters that would lead elsewhere than the URL shows, or to a file of the machine
/// that dials.
fn refusal(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "host" | "hostaddr" | "port" | "user" | "password" | "dbname" => {
            "write it in its place: postgres://user:password@host:port/database"
        }
        "service" | "servicefile" | "passfile" => "it names a file of this machine",
        "sslcert" | "sslkey" | "sslrootcert" | "sslcrl" | "sslcrldir" | "sslpassword" => {
            "client certificates and own authorities are not supported"
        }
        "krbsrvname" | "gsslib" | "gssdelegation" | "requirepeer" => {
            "only password authentication over the network is supported"
        }
        _ => return None,
    })
}

impl SourceUrl {
    /// Reads a connection URL and leaves it as it is.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        let source = Self::parse_here(text)?;
        if source.is_socket() { Err(SourceUrlError::Socket) } else { Ok(source) }
    }

    /// The same for a URL that is dialled from this machine: it may name a Unix socket.
    pub fn parse_here(text: &str) -> Result<Self, SourceUrlError> {
        let moved = socket_into_host(text.trim());
        let text = moved.as_deref().unwrap_or(text.trim());
        if text.is_empty() {
            return Err(SourceUrlError::Empty);
        }
        let text = text.trim_matches(['"', '\'']); // as pasted from a file of settings
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        if !["postgres", "postgresql"].contains(&scheme.to_ascii_lowercase().as_str()) {
            let is_prisma = scheme.to_ascii_lowercase().starts_with("prisma");
            return Err(if is_prisma {
                SourceUrlError::PrismaProxy
            } else {
                SourceUrlError::Scheme(shown_start(text))
            });
        }
        refuse_host_list(text)?;
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => SourceUrlError::Port,
            url::ParseError::EmptyHost => SourceUrlError::NoHost,
            other => SourceUrlError::Syntax(other.to_string()),
        })?;
        if url.fragment().is_some() {
            return Err(SourceUrlError::Syntax("it contains a `#`".into()));
        }
        if url.port() == Some(0) {
            return Err(SourceUrlError::Port);
        }
        for (name, value) in url.query_pairs() {
            // The authorities of this machine are what is used anyway.
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

    /// Brings the URL into the form that is dialled, and says what was changed: TLS is asked
    /// for unless the URL says otherwise, and parameters that mean nothing to a dump go.
    #[must_use]
    pub fn normalize(self) -> (Self, Vec<UrlChange>) {
        self.normalize_with("require")
    }

    /// The same for a server in this network, which may well have no TLS.
    #[must_use]
    pub fn normalize_here(self) -> (Self, Vec<UrlChange>) {
        let mode = if self.is_socket() { "disable" } else { "prefer" };
        let (url, mut changes) = self.normalize_with(mode);
        changes.retain(|change| !matches!(change, UrlChange::SslModeAdded(_))); // this is libpq's own default
        (url, changes)
    }

    fn normalize_with(mut self, mode: &'static str) -> (Self, Vec<UrlChange>) {
        let mut kept: Vec<(String, String)> = Vec::new();
        let mut dropped: Vec<String> = Vec::new();
        for (name, value) in self.url.query_pairs() {
            if is_kept(&name, &value) {
                kept.retain(|(known, _)| *known != name); // the last one counts, as in libpq
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

    /// The URL with its password, for the one who dials.
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }

    /// Host name or address, decoded, without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host is the folder of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/') || self.host.starts_with('@')
    }

    /// Port, 5432 unless given.
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

    /// What the URL asks of TLS; `prefer` when it asks nothing, as libpq does.
    pub fn ssl_mode(&self) -> SslMode {
        self.parameter("sslmode").and_then(|word| SslMode::parse(&word)).unwrap_or(SslMode::Prefer)
    }

    /// What the URL asks of channel binding, which ties the login to the encrypted connection.
    pub fn channel_binding(&self) -> Option<String> {
        self.parameter("channel_binding").filter(|value| is_kept("channel_binding", value))
    }

    /// The server-side `options`, which some providers route by.
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
        let _ = changed.url.set_port(Some(port)); // fails only without a host, and there is one
        changed
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        self.url.query_pairs().filter(|(name, _)| name == wanted).last().map(|(_, value)| value.into_owned())
    }
}

/// `postgres://user@/db?host=/folder` as `postgres://user@%2Ffolder/db`.
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
    // With a host in its place the parameter would contradict it.
    if !port.is_empty() && !port.starts_with(':') {
        return None;
    }
    let folder: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
    Some(format!("{scheme}://{user}{folder}{port}/{path}?{}", others.join("&")).trim_end_matches('?').to_owned())
}

/// A list of hosts hides from the URL parser in several ways, so it is looked for first.
fn refuse_host_list(text: &str) -> Result<(), SourceUrlError> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') || hosts.to_ascii_lowercase().contains("%2c") {
        return Err(SourceUrlError::SeveralHosts);
    }
    Ok(())
}

/// The start of what was given, cut before anything that could be a password.
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
    SourceUrlError::Syntax("it has a `%` that is not followed by the code of a character".into())
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        if shown.password().is_some() {
            let _ = shown.set_password(Some("***")); // fails only without a host, and there is one
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
