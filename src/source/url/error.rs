//! The errors of parsing a source URL.

/// Why parsing a source URL failed. The messages never quote the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceUrlError {
    /// The text is empty.
    #[error("the URL is empty")]
    Empty,
    /// The scheme is not Postgres's.
    #[error("expected a URL that starts with postgres:// or postgresql://, found {0}")]
    Scheme(String),
    /// The URL of a Prisma HTTP proxy.
    #[error("the URL points to a Prisma HTTP proxy, not to a Postgres server")]
    PrismaProxy,
    /// The password may end in more than one place.
    #[error(
        "the URL has more than one reading, so nothing was connected to: percent-encode the special characters of the password (@ is %40, / is %2F, ? is %3F, # is %23)"
    )]
    Ambiguous,
    /// A placeholder was not replaced; holds what belongs there.
    #[error("the {0} in the URL is a placeholder; replace it with the real {0}")]
    Placeholder(&'static str),
    /// The text is the name of a variable.
    #[error(
        "expected a URL, found the name of a variable that the shell did not replace; put it in double quotes, not single ones, or paste its value"
    )]
    Variable,
    /// The URL is malformed.
    #[error(
        "the URL is invalid ({0}); percent-encode special characters in the user name and password (@ is %40, / is %2F, # is %23)"
    )]
    Syntax(String),
    /// The host is missing.
    #[error("the URL has no host")]
    NoHost,
    /// The host is a Unix socket.
    #[error("the URL points to a Unix socket; the import needs a host that is reachable over the network")]
    Socket,
    /// The URL lists several hosts.
    #[error("the URL lists several hosts; specify only the one to import from")]
    SeveralHosts,
    /// The port is invalid.
    #[error(
        "the URL has an invalid port: use a number from 1 to 65535, and percent-encode special characters in the password (/ is %2F, # is %23, ? is %3F)"
    )]
    Port,
    /// The database is missing.
    #[error("the URL has no database; add the name after the host: postgres://user@host:5432/DATABASE")]
    NoDatabase,
    /// The user is missing.
    #[error("the URL has no user; add it before the host: postgres://USER:password@host:5432/database")]
    NoUser,
    /// A parameter is not allowed.
    #[error("the parameter `{0}` in the URL is not supported: {1}")]
    Parameter(String, &'static str),
    /// The value of `sslmode` is unknown to libpq.
    #[error("the URL has sslmode={0}; use disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode(String),
}
