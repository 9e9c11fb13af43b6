//! Connections to Postgres servers of the control plane.

use crate::source::bounded_stream::BoundedStream;
use crate::source::{SourceUrl, SslMode, tls};
use anyhow::Context;
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Timeout for connecting to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A Postgres server, with the user and the settings to connect with.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    tls: MakeRustlsConnect,
    mode: SslMode,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Parses a connection URL. TLS settings work as in libpq; by default TLS is used if the server
    /// supports it.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let url = SourceUrl::parse(url)?;
        let mut config = Config::new();
        config.host(url.host()).port(url.port()).user(url.user()).dbname(url.database());
        if let Some(password) = url.password() {
            config.password(password);
        }
        Self::new(config, url.ssl_mode(), url.host(), url.port())
    }

    /// A server on this machine, without TLS.
    pub fn here(port: u16, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname("postgres");
        Self::new(config, SslMode::Disable, "127.0.0.1", port)
    }

    fn new(mut config: Config, mode: SslMode, host: &str, port: u16) -> anyhow::Result<Self> {
        // Detects a server that has vanished without closing the connection within two minutes.
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(Duration::from_mins(1));
        config
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        config.ssl_mode(match mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        });
        let tls = MakeRustlsConnect::new(tls::client_config(mode, None)?);
        Ok(Self { config, tls, mode, host: host.to_owned(), port })
    }

    /// The same server with other session settings.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut endpoint = self.clone();
        change(&mut endpoint.config);
        endpoint
    }

    /// Opens a session. Later errors of the connection are returned by the calls on the client.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        Ok(self.connect_watched().await?.0)
    }

    /// Like [`Self::connect`], with the task that ends when the session does.
    pub async fn connect_watched(&self) -> anyhow::Result<(Client, JoinHandle<()>)> {
        // Boxed, because the future of the handshake is large.
        let connecting = Box::pin(self.config.connect(self.tls.clone()));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let connected = connected.map_err(|_| anyhow::anyhow!("the server did not respond in time"))?;
        let (client, connection) = connected.map_err(|error| SessionError::new(&error))?;
        let running = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok((client, running))
    }

    /// Opens a session in which the server may send at most `most` bytes in total. The task returns the
    /// connection error, which the client does not report.
    pub async fn connect_limited(
        &self,
        most: u64,
    ) -> anyhow::Result<(Client, JoinHandle<Result<(), tokio_postgres::Error>>)> {
        let work = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let mut tls = self.tls.clone();
            let tls = MakeTlsConnect::<BoundedStream<TcpStream>>::make_tls_connect(&mut tls, &self.host)?;
            let connected = self.config.connect_raw(BoundedStream::counted(stream, most), tls).await;
            anyhow::Ok(connected.map_err(|error| SessionError::new(&error))?)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, work).await;
        let (client, connection) = connected.map_err(|_| anyhow::anyhow!("the server did not respond in time"))??;
        Ok((client, tokio::spawn(connection)))
    }

    /// A manager for a connection pool.
    pub fn manager(&self) -> Manager {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Manager::from_config(self.config.clone(), self.tls.clone(), settings)
    }

    /// Host name or IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the server is on this machine.
    pub fn is_local(&self) -> bool {
        crate::util::net::is_loopback(&self.host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The libpq value of `sslmode`.
    pub fn ssl_mode(&self) -> &'static str {
        crate::source::pg_programs::ssl_mode(self.mode)
    }

    /// Environment variables for libpq to connect to the server, without user and password.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGSSLMODE", self.ssl_mode().to_owned()),
            ("PGGSSENCMODE", "disable".to_owned()),
        ];
        variables
            .extend(crate::source::pg_programs::root_certificates(self.mode).map(|roots| ("PGSSLROOTCERT", roots)));
        variables
    }
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SessionError {
    /// The server's message, or the connection error.
    message: String,
    /// The server's error code, if the server responded.
    pub code: Option<SqlState>,
}

impl SessionError {
    fn new(error: &tokio_postgres::Error) -> Self {
        let db_error = error.as_db_error();
        let message = db_error.map_or_else(|| crate::util::error::chain(error), |error| error.message().to_owned());
        Self { message, code: db_error.map(|error| error.code().clone()) }
    }
}

/// Reads the major version of a session's server.
pub async fn server_major(session: &Client) -> anyhow::Result<u32> {
    let row = session.query_one("select current_setting('server_version_num')::int", &[]).await?;
    u32::try_from(row.get::<_, i32>(0) / 10_000).context("the server reports an invalid version")
}
