//! Dialling a source: every address is judged before it is dialled, and the judged address
//! is the one dialled, so a second DNS answer changes nothing.

use super::reach::{private_kind, private_name};
use super::{SourceUrl, SslMode, tls};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

/// How long dialling, TLS and authentication may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open session, and the address that led to it.
pub struct Session {
    /// The session.
    pub client: Client,
    /// The address that was judged and dialled; a later `pg_dump` must use the same. `None`
    /// for a Unix socket.
    pub address: Option<IpAddr>,
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
        for address in &addresses {
            if let Some(kind) = private_kind(*address) {
                return Err(ConnectError::Private(format!("{} is {kind}", host.escape_default())));
            }
        }
    }
    Ok(addresses)
}

fn unknown(host: &str) -> ConnectError {
    ConnectError::UnknownHost(host.escape_default().to_string())
}

/// Opens a session within [`CONNECT_TIMEOUT`], trying the host's addresses in turn.
pub async fn connect(url: &SourceUrl, allow_private: bool) -> Result<Session, ConnectError> {
    let place = place(url);
    let work = async {
        if url.is_socket() {
            return Ok(Session { client: dial(url, None).await?, address: None });
        }
        let mut last = None;
        for address in resolve(url, allow_private).await? {
            match dial(url, Some(address)).await {
                Ok(client) => return Ok(Session { client, address: Some(address) }),
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

async fn dial(url: &SourceUrl, address: Option<IpAddr>) -> Result<Client, ConnectError> {
    let mut config = Config::new();
    config
        .host(url.host())
        .port(url.port())
        .user(url.user())
        .dbname(url.database())
        .application_name("capydb preflight")
        .ssl_mode(match url.ssl_mode() {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        });
    if let Some(address) = address {
        config.hostaddr(address);
    }
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
    let place = place(url);
    let tls =
        tls::client_config(url.ssl_mode()).map_err(|error| ConnectError::Tls(place.clone(), error.to_string()))?;
    let connector = tokio_postgres_rustls::MakeRustlsConnect::new(tls);
    let (client, connection) = config.connect(connector).await.map_err(|error| explain(&place, &error))?;
    tokio::spawn(async move {
        // A broken session is seen by whoever uses the client.
        let _ = connection.await;
    });
    Ok(client)
}

/// Turns the driver's error into the cause that a person can act on.
fn explain(place: &str, error: &tokio_postgres::Error) -> ConnectError {
    if let Some(db) = error.as_db_error() {
        let said = crate::text::printable(db.message(), 300);
        return match db.code() {
            code if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                ConnectError::Login(place.into(), said)
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
                return ConnectError::Tls(place.into(), tls.to_string());
            }
        }
        cause = current.source();
    }
    let said = crate::text::printable(&chain(error), 300);
    if said.contains("does not support TLS") {
        let why = "the server does not offer TLS; add sslmode=disable to the URL to go without".into();
        return ConnectError::Tls(place.into(), why);
    }
    if said.contains("password") {
        return ConnectError::Login(place.into(), said);
    }
    ConnectError::Other(place.into(), said)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}
