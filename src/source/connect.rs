//! Dialling a source: every address is judged before it is dialled, and the judged address
//! is the one dialled, so a second DNS answer changes nothing.

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

/// How long dialling, TLS and authentication may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// All that a source may send in one session, in bytes: it describes itself, no more. The
/// driver holds a whole row in memory, however long the server says that it is.
const LONGEST_SESSION: u64 = 16 << 20;

/// An open session, and the address that led to it.
pub struct Session {
    /// The session.
    pub client: Client,
    /// The address that was judged and dialled; a later `pg_dump` must use the same. `None`
    /// for a Unix socket.
    pub address: Option<IpAddr>,
    /// The password, which the server may send back in its errors.
    password: Option<String>,
    /// A server that does not let go must not hold us.
    _connection: AbortOnDropHandle<()>,
}

impl Session {
    /// What the server said, safe to be shown.
    pub(super) fn shown(&self, said: &str) -> String {
        scrubbed(said, self.password.as_deref())
    }
}

/// What a stranger said, on one line of bearable length, without a password.
fn scrubbed(said: &str, password: Option<&str>) -> String {
    // A word that short says nothing, and would be found everywhere.
    let said = match password.filter(|password| password.len() >= 4) {
        Some(password) => said.replace(password, "***"),
        None => said.to_owned(),
    };
    crate::util::format::printable(&said, 300)
}

/// Why a source cannot be used. The messages name host and port, never the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL leads into a network that is not public.
    #[error("the source must be publicly reachable, but {0}")]
    Private(String),
    /// The name has no address.
    #[error("cannot find the source's host {0}: the name has no address")]
    UnknownHost(String),
    /// Nothing listens.
    #[error("{0} refused the connection: no server listens there, or a firewall rejects it")]
    Refused(String),
    /// No answer in time.
    #[error("{0} did not answer as a Postgres server within {1} seconds: check host, port and firewall")]
    Silent(String, u64),
    /// Wrong password, unknown role, or no right to connect.
    #[error("{0} refused the login: {1}")]
    Login(String, String),
    /// The server has no rule by which it would let this login try (`pg_hba.conf`).
    #[error("{0} refused the login: {1}")]
    Rejected(String, String),
    /// No such database.
    #[error("{0} has no such database: {1}")]
    Database(String, String),
    /// TLS was asked for and did not come about.
    #[error("no encrypted connection to {0}: {1}")]
    Tls(String, String),
    /// Anything else.
    #[error("cannot connect to {0}: {1}")]
    Other(String, String),
}

impl ConnectError {
    /// Whether the same call may work a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::UnknownHost(_) | Self::Refused(_) | Self::Silent(..) | Self::Other(..))
    }
}

/// Resolves the host and refuses every answer that is not public, unless those are allowed.
pub async fn resolve(url: &SourceUrl, allow_private: bool) -> Result<Vec<IpAddr>, ConnectError> {
    let host = url.host();
    if !allow_private && private_name(host) {
        return Err(ConnectError::Private(format!("{} is an internal name", host.escape_default())));
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

/// One private address among those of a name is enough: which one is dialled is up to chance.
fn all_public(host: &str, addresses: &[IpAddr]) -> Result<(), ConnectError> {
    match addresses.iter().find_map(|address| private_kind(*address)) {
        Some(kind) => Err(ConnectError::Private(format!("{} is {kind}", host.escape_default()))),
        None => Ok(()),
    }
}

fn unknown(host: &str) -> ConnectError {
    ConnectError::UnknownHost(host.escape_default().to_string())
}

/// Opens a session within [`CONNECT_TIMEOUT`], trying the host's addresses in turn.
pub async fn connect(url: &SourceUrl, allow_private: bool) -> Result<Session, ConnectError> {
    let place = place(url);
    let work = async {
        if url.is_socket() {
            return dial(url, None, url.ssl_mode()).await;
        }
        let mut last = None;
        for address in resolve(url, allow_private).await? {
            match dial_as_asked(url, address).await {
                Ok(session) => return Ok(session),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| unknown(url.host())))
    };
    let silent = || ConnectError::Silent(place.clone(), CONNECT_TIMEOUT.as_secs());
    tokio::time::timeout(CONNECT_TIMEOUT, work).await.unwrap_or_else(|_| Err(silent()))
}

/// Host and port, for messages.
fn place(url: &SourceUrl) -> String {
    if url.host().contains(':') {
        return format!("[{}]:{}", url.host(), url.port());
    }
    format!("{}:{}", url.host().escape_default(), url.port())
}

/// `prefer` goes without TLS where TLS does not come about, or where the server wants no
/// encrypted sessions (libpq, "SSL Mode Descriptions").
async fn dial_as_asked(url: &SourceUrl, address: IpAddr) -> Result<Session, ConnectError> {
    match dial(url, Some(address), url.ssl_mode()).await {
        Err(ConnectError::Tls(..) | ConnectError::Rejected(..)) if url.ssl_mode() == SslMode::Prefer => {
            dial(url, Some(address), SslMode::Disable).await
        }
        dialled => dialled,
    }
}

async fn dial(url: &SourceUrl, address: Option<IpAddr>, mode: SslMode) -> Result<Session, ConnectError> {
    let (config, place) = (config(url, mode), place(url));
    let tls = tls::client_config(mode).map_err(|error| ConnectError::Tls(place.clone(), error.to_string()))?;
    let mut connector = MakeRustlsConnect::new(tls);
    let password = url.password();
    let failed = |error: tokio_postgres::Error| explain(&place, &error, password.as_deref());
    let (client, connection) = match address {
        None => {
            let (client, connection) = config.connect(connector).await.map_err(failed)?;
            (client, tokio::spawn(until_closed(connection)))
        }
        Some(address) => {
            let dialled = TcpStream::connect((address, url.port())).await;
            let stream = BoundedStream::new(dialled.map_err(|error| unreached(&place, &error))?, LONGEST_SESSION);
            let connector = MakeTlsConnect::<BoundedStream<TcpStream>>::make_tls_connect(&mut connector, url.host());
            let connector = connector.map_err(|error| ConnectError::Tls(place.clone(), error.to_string()))?;
            let (client, connection) = config.connect_raw(stream, LimitedTls(connector)).await.map_err(failed)?;
            (client, tokio::spawn(until_closed(connection)))
        }
    };
    Ok(Session { client, address, password: url.password(), _connection: AbortOnDropHandle::new(connection) })
}

/// A broken session is seen by whoever uses the client.
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

fn unreached(place: &str, error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused(place.into()),
        _ => ConnectError::Other(place.into(), error.to_string()),
    }
}

/// Turns the driver's error into the cause that a person can act on.
fn explain(place: &str, error: &tokio_postgres::Error, password: Option<&str>) -> ConnectError {
    if let Some(db) = error.as_db_error() {
        let said = scrubbed(db.message(), password);
        return match db.code() {
            code if *code == SqlState::INVALID_PASSWORD => ConnectError::Login(place.into(), said),
            code if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                ConnectError::Rejected(place.into(), said)
            }
            code if *code == SqlState::INVALID_CATALOG_NAME => ConnectError::Database(place.into(), said),
            _ => ConnectError::Other(place.into(), said),
        };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::ConnectionRefused {
                return ConnectError::Refused(place.into());
            }
            if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return ConnectError::Tls(place.into(), crate::util::format::printable(&tls.to_string(), 300));
            }
        }
        cause = current.source();
    }
    let said = scrubbed(&crate::util::error::chain(error), password);
    match DriverFailure::of(&said) {
        DriverFailure::NoTls => {
            let why = "the server does not support TLS; add sslmode=disable to the URL to connect without encryption";
            ConnectError::Tls(place.into(), why.into())
        }
        DriverFailure::Password => ConnectError::Login(place.into(), said),
        DriverFailure::Other => ConnectError::Other(place.into(), said),
    }
}

/// Failures that the driver reports without a type of their own.
enum DriverFailure {
    /// The server does not support TLS.
    NoTls,
    /// The server asked for a password and the URL has none, or a wrong one.
    Password,
    Other,
}

impl DriverFailure {
    /// The driver keeps its kinds private, so this is the one place that reads its messages.
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
    fn one_private_address_spoils_a_name() {
        let judged = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            all_public("db.example.com", &addresses).map_err(|why| why.to_string())
        };
        assert_eq!(judged(&["1.1.1.1", "2606:4700::1"]), Ok(()));
        for second in ["10.0.0.5", "::1", "169.254.169.254", "::ffff:192.168.0.1"] {
            assert!(
                judged(&["1.1.1.1", second]).is_err_and(|why| why.contains("must be publicly reachable")),
                "{second}"
            );
        }
    }
}
