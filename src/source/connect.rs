//! Connects to a source. Every address is checked first, and the connection uses the checked
//! address, so a later DNS response cannot redirect it.

use super::address_policy::{private_kind, private_name};
use super::bounded_stream::{BoundedStream, LimitedTls};
use super::{SourceUrl, SslMode, tls};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

/// Timeout for DNS, connection, TLS and authentication together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of bytes that a source may send in one session. The driver buffers a whole
/// row in memory, however long.
const MAX_SESSION_BYTES: u64 = 24 << 20;

/// An open session and the address it is connected to.
pub struct Session {
    /// The Postgres client.
    pub client: Client,
    /// The checked address; a later `pg_dump` must use the same one. `None` for a Unix socket.
    pub address: Option<IpAddr>,
    /// The password, to redact it in server errors.
    password: Option<String>,
    /// Aborts the connection task on drop, even if the server keeps the connection open.
    _connection: AbortOnDropHandle<()>,
}

impl Session {
    /// A server message that is safe to display.
    pub(super) fn shown(&self, said: &str) -> String {
        redacted(said, self.password.as_deref())
    }
}

/// An untrusted message on one line of at most 300 characters, with the password redacted.
fn redacted(said: &str, password: Option<&str>) -> String {
    // Shorter passwords match ordinary words.
    let said = match password.filter(|password| password.len() >= 4) {
        Some(password) => said.replace(password, "***"),
        None => said.to_owned(),
    };
    crate::util::format::printable(&said, 300)
}

/// Why connecting to a source failed. The messages contain host and port, never the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host is not public.
    #[error("the source must be publicly reachable, but {0}")]
    Private(String),
    /// The host name does not resolve.
    #[error("cannot find the source's host {0}: the name does not resolve")]
    UnknownHost(String),
    /// The connection was refused.
    #[error("{0} refused the connection: no server is listening, or a firewall blocks it")]
    Refused(String),
    /// The server did not respond in time (seconds).
    #[error("{0} did not respond as a Postgres server within {1} seconds: check host, port and firewall")]
    TimedOut(String, u64),
    /// The password is wrong or missing.
    #[error("{0} refused the login: {1}")]
    Login(String, String),
    /// `pg_hba.conf` or a missing role rejects the login.
    #[error("{0} refused the login: {1}")]
    Rejected(String, String),
    /// The database does not exist.
    #[error("{0} has no such database: {1}")]
    Database(String, String),
    /// The TLS connection failed.
    #[error("no encrypted connection to {0}: {1}")]
    Tls(String, String),
    /// Any other error.
    #[error("cannot connect to {0}: {1}")]
    Other(String, String),
}

impl ConnectError {
    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::UnknownHost(_) | Self::Refused(_) | Self::TimedOut(..) | Self::Other(..))
    }
}

/// Resolves the host. Fails if any address is not public, unless `allow_private` is set.
pub async fn resolve(url: &SourceUrl, allow_private: bool) -> Result<Vec<IpAddr>, ConnectError> {
    let host = url.host();
    if !allow_private && private_name(host) {
        return Err(ConnectError::Private(format!("{} is an internal host name", host.escape_default())));
    }
    let lookup = tokio::net::lookup_host((host, url.port()));
    let answer = tokio::time::timeout(CONNECT_TIMEOUT, lookup).await.map_err(|_| unknown(host))?;
    let mut addresses: Vec<IpAddr> = answer.map_err(|_| unknown(host))?.map(|found| found.ip()).collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(unknown(host));
    }
    if !allow_private {
        all_public(host, &addresses)?;
    }
    Ok(addresses)
}

/// Fails if any address of a name is private: any of them may be the one connected to.
fn all_public(host: &str, addresses: &[IpAddr]) -> Result<(), ConnectError> {
    match addresses.iter().find_map(|address| private_kind(*address)) {
        Some(kind) => Err(ConnectError::Private(format!("{} is {kind}", host.escape_default()))),
        None => Ok(()),
    }
}

fn unknown(host: &str) -> ConnectError {
    ConnectError::UnknownHost(host.escape_default().to_string())
}

/// Opens a session within [`CONNECT_TIMEOUT`]. Tries the host's addresses in order.
pub async fn connect(url: &SourceUrl, allow_private: bool) -> Result<Session, ConnectError> {
    let host_and_port = host_and_port(url);
    let work = async {
        if url.is_socket() {
            return dial(url, None, url.ssl_mode()).await;
        }
        let mut last = None;
        for address in resolve(url, allow_private).await? {
            match connect_with_fallback(url, address).await {
                Ok(session) => return Ok(session),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| unknown(url.host())))
    };
    let silent = || ConnectError::TimedOut(host_and_port.clone(), CONNECT_TIMEOUT.as_secs());
    tokio::time::timeout(CONNECT_TIMEOUT, work).await.unwrap_or_else(|_| Err(silent()))
}

/// Host and port, for messages.
fn host_and_port(url: &SourceUrl) -> String {
    if url.host().contains(':') {
        return format!("[{}]:{}", url.host(), url.port());
    }
    format!("{}:{}", url.host().escape_default(), url.port())
}

/// With `prefer`, retries without TLS if TLS fails or the server rejects encrypted sessions
/// (libpq, "SSL Mode Descriptions").
async fn connect_with_fallback(url: &SourceUrl, address: IpAddr) -> Result<Session, ConnectError> {
    match dial(url, Some(address), url.ssl_mode()).await {
        Err(ConnectError::Tls(..) | ConnectError::Rejected(..)) if url.ssl_mode() == SslMode::Prefer => {
            dial(url, Some(address), SslMode::Disable).await
        }
        // A server that demands encryption rejects the session like an unknown address.
        Err(ConnectError::Rejected(server, said)) if url.ssl_mode() == SslMode::Disable => {
            Err(ConnectError::Rejected(server, format!("{said}; the URL has sslmode=disable, try it without")))
        }
        dialled => dialled,
    }
}

async fn dial(url: &SourceUrl, address: Option<IpAddr>, mode: SslMode) -> Result<Session, ConnectError> {
    let (config, host_and_port) = (config(url, mode), host_and_port(url));
    let tls = tls::client_config(mode, url.authorities())
        .map_err(|error| ConnectError::Tls(host_and_port.clone(), error.to_string()))?;
    let mut connector = MakeRustlsConnect::new(tls);
    let password = url.password();
    let failed = |error: tokio_postgres::Error| connect_error_of(&host_and_port, &error, password.as_deref());
    let (client, connection) = match address {
        None => {
            let (client, connection) = config.connect(connector).await.map_err(failed)?;
            (client, tokio::spawn(until_closed(connection)))
        }
        Some(address) => {
            let dialled = TcpStream::connect((address, url.port())).await;
            let stream =
                BoundedStream::new(dialled.map_err(|error| tcp_error(&host_and_port, &error))?, MAX_SESSION_BYTES);
            let connector = MakeTlsConnect::<BoundedStream<TcpStream>>::make_tls_connect(&mut connector, url.host());
            let connector = connector.map_err(|error| ConnectError::Tls(host_and_port.clone(), error.to_string()))?;
            let (client, connection) = config.connect_raw(stream, LimitedTls(connector)).await.map_err(failed)?;
            (client, tokio::spawn(until_closed(connection)))
        }
    };
    Ok(Session { client, address, password: url.password(), _connection: AbortOnDropHandle::new(connection) })
}

/// Drives the connection; the client reports its errors.
async fn until_closed(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    let _ = connection.await;
}

fn config(url: &SourceUrl, mode: SslMode) -> Config {
    let mut config = Config::new();
    config.host(url.host()).port(url.port()).user(url.user()).dbname(url.database());
    config.application_name("capydb preflight").ssl_mode(match mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    });
    config.channel_binding(match url.channel_binding().as_deref() {
        Some("require") => ChannelBinding::Require,
        Some("disable") => ChannelBinding::Disable,
        _ => ChannelBinding::Prefer,
    });
    if let Some(password) = url.password() {
        config.password(password);
    }
    if let Some(options) = url.options() {
        config.options(options);
    }
    config
}

fn tcp_error(host_and_port: &str, error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused(host_and_port.into()),
        _ => ConnectError::Other(host_and_port.into(), error.to_string()),
    }
}

/// Maps a driver error to a [`ConnectError`].
fn connect_error_of(host_and_port: &str, error: &tokio_postgres::Error, password: Option<&str>) -> ConnectError {
    if let Some(db) = error.as_db_error() {
        let said = redacted(db.message(), password);
        return match db.code() {
            code if *code == SqlState::INVALID_PASSWORD => ConnectError::Login(host_and_port.into(), said),
            code if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                ConnectError::Rejected(host_and_port.into(), said)
            }
            code if *code == SqlState::INVALID_CATALOG_NAME => ConnectError::Database(host_and_port.into(), said),
            _ => ConnectError::Other(host_and_port.into(), said),
        };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::ConnectionRefused {
                return ConnectError::Refused(host_and_port.into());
            }
            if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return ConnectError::Tls(host_and_port.into(), explained(tls));
            }
        }
        cause = current.source();
    }
    let said = redacted(&crate::util::error::chain(error), password);
    match DriverFailure::of(&said) {
        DriverFailure::NoTls => {
            let why = "the server does not support TLS; add sslmode=disable to the URL to connect without encryption";
            ConnectError::Tls(host_and_port.into(), why.into())
        }
        DriverFailure::Password if password.is_none() => {
            ConnectError::Login(host_and_port.into(), "the server asks for a password, and the URL has none".into())
        }
        DriverFailure::Password => ConnectError::Login(host_and_port.into(), said),
        DriverFailure::Other => ConnectError::Other(host_and_port.into(), said),
    }
}

/// A TLS error with what to do about it.
fn explained(error: &rustls::Error) -> String {
    let said = crate::util::format::printable(&error.to_string(), 300);
    match error {
        rustls::Error::InvalidCertificate(_) => format!(
            "{said}; give the certificate authority of the source with --source-ca FILE, or use sslmode=require to \
             encrypt without verifying"
        ),
        _ => said,
    }
}

/// Failures for which the driver has no public type.
enum DriverFailure {
    /// The server does not support TLS.
    NoTls,
    /// The password is missing or was rejected.
    Password,
    Other,
}

impl DriverFailure {
    /// Classifies by message text: the driver's error kinds are private.
    fn of(message: &str) -> Self {
        if message.contains("does not support TLS") {
            return Self::NoTls;
        }
        if message.contains("password") { Self::Password } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_private_address_makes_a_name_private() {
        let check = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("a valid address")).collect();
            all_public("db.example.com", &addresses).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["1.1.1.1", "2606:4700::1"]), Ok(()));
        for second in ["10.0.0.5", "::1", "169.254.169.254", "::ffff:192.168.0.1"] {
            assert!(
                check(&["1.1.1.1", second]).is_err_and(|error| error.contains("must be publicly reachable")),
                "{second}"
            );
        }
    }
}
