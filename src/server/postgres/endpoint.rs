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

/// How long dialling a server of ours may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A Postgres server of ours: where it is, and as whom we come.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    tls: MakeRustlsConnect,
    mode: SslMode,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads a connection URL. What it says of TLS counts as with libpq; without a word TLS is
    /// taken where the server has it.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let url = SourceUrl::parse(url)?;
        let mut config = Config::new();
        config.host(url.host()).port(url.port()).user(url.user()).dbname(url.database());
        if let Some(password) = url.password() {
            config.password(password);
        }
        Self::new(config, url.ssl_mode(), url.host(), url.port())
    }

    /// A server of this machine that has no TLS.
    pub fn here(port: u16, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname("postgres");
        Self::new(config, SslMode::Disable, "127.0.0.1", port)
    }

    fn new(mut config: Config, mode: SslMode, host: &str, port: u16) -> anyhow::Result<Self> {
        // A server that is gone without a word is noticed within a minute or two.
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
        let tls = MakeRustlsConnect::new(tls::client_config(mode)?);
        Ok(Self { config, tls, mode, host: host.to_owned(), port })
    }

    /// The same server with other settings of the session.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut endpoint = self.clone();
        change(&mut endpoint.config);
        endpoint
    }

    /// Opens a session. What goes wrong in it later is seen by whoever uses it.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        Ok(self.connect_watched().await?.0)
    }

    /// The same with the task that ends when the session does.
    pub async fn connect_watched(&self) -> anyhow::Result<(Client, JoinHandle<()>)> {
        // A handshake is large, and stands in the middle of much else.
        let connecting = Box::pin(self.config.connect(self.tls.clone()));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let connected = connected.map_err(|_| anyhow::anyhow!("the server does not answer"))?;
        let (client, connection) = connected.map_err(|error| SessionError::new(&error))?;
        let running = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok((client, running))
    }

    /// Opens a session in which the server may send so many bytes in all. The task tells how the
    /// connection ended, which the client is not told.
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
        let (client, connection) = connected.map_err(|_| anyhow::anyhow!("the server does not answer"))??;
        Ok((client, tokio::spawn(connection)))
    }

    /// What a pool makes its sessions with.
    pub fn manager(&self) -> Manager {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Manager::from_config(self.config.clone(), self.tls.clone(), settings)
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        crate::util::net::is_loopback(&self.host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The word of libpq for how much TLS is wanted.
    pub fn ssl_mode(&self) -> &'static str {
        crate::source::pg_programs::ssl_mode(self.mode)
    }

    /// The environment that leads libpq to the server, without user and password.
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
    /// What the server said, or what went wrong on the way.
    message: String,
    /// The server's error code, where the server answered.
    pub code: Option<SqlState>,
}

impl SessionError {
    fn new(error: &tokio_postgres::Error) -> Self {
        let answered = error.as_db_error();
        let message = answered.map_or_else(|| crate::util::error::chain(error), |error| error.message().to_owned());
        Self { message, code: answered.map(|error| error.code().clone()) }
    }
}

/// Reads the major version of the server at the other end of a session.
pub async fn server_major(session: &Client) -> anyhow::Result<u32> {
    let row = session.query_one("select current_setting('server_version_num')::int", &[]).await?;
    u32::try_from(row.get::<_, i32>(0) / 10_000).context("the server's version is none")
}
