//! Arguments of `capydb dev` and `capydb server`.

use super::plan_limit;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capydb dev
  capydb dev --ephemeral -- ./integration-tests.sh

A command runs with CAPYDB_API_URL and CAPYDB_API_KEY set, and capydb returns its exit code. The
credentials, region and endpoint of a bucket come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION and AWS_ENDPOINT_URL.")]
pub(in crate::cli) struct DevArgs {
    /// Data directory [env: CAPYDB_DEV_DIR] [default: /var/lib/capydb/dev for root, else ~/.local/share/capydb/dev]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
    /// Use a temporary data directory
    #[arg(long)]
    pub(in crate::cli) ephemeral: bool,
    /// API port on 127.0.0.1; 0 picks a free port [default: 7654, or 0 with --ephemeral]
    #[arg(long)]
    pub(in crate::cli) port: Option<u16>,
    /// Directory of Postgres programs [env: CAPYDB_POSTGRES_BIN] [default: found or downloaded]
    // Not clap's `env`: an empty variable counts as not set.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) postgres_bin: Option<PathBuf>,
    /// Plan limit of project dev and new projects (10GB, 500MiB) [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = plan_limit)]
    pub(in crate::cli) plan_limit: Option<u64>,
    /// Allow sources in private networks
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(in crate::cli) allow_private_sources: bool,
    /// Bucket for uploaded dumps (s3://bucket/prefix) [default: the data directory]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) object_store: Option<String>,
    /// Command to run with the server up
    #[arg(last = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  export CAPYDB_DATABASE_URL=\"postgres://capydb:password@db.internal/capydb\"
  export CAPYDB_SECRET_KEY=$(openssl rand -hex 32)    # the same for all processes
  capydb server new-key --organization Acme
  capydb server --role worker --concurrency 4 --object-store s3://dumps/capydb
  capydb server --role api --object-store s3://dumps/capydb \\
    --listen 0.0.0.0:7654 --public-url https://db.example.com

Run any number of processes on any number of machines: they share metadata, bucket and target.
The credentials, region and endpoint of the bucket come from AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL."
)]
pub(in crate::cli) struct ServerArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ServerCommand>,
    #[command(flatten)]
    pub(in crate::cli) shared: SharedArgs,
    #[command(flatten)]
    pub(in crate::cli) options: ServerOptions,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SharedArgs {
    /// Metadata and queue database URL, visible in process lists [env: CAPYDB_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) database_url: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ServerOptions {
    /// Target Postgres, as a superuser [env: CAPYDB_TARGET_URL] [default: the metadata Postgres]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) target_url: Option<String>,
    /// Bucket for uploaded dumps (s3://bucket/prefix)
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) object_store: Option<String>,
    /// Role of this process
    #[arg(long, value_enum, default_value_t = Role::All, value_name = "ROLE")]
    pub(in crate::cli) role: Role,
    /// Concurrent imports per worker
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(in crate::cli) concurrency: u8,
    /// Listen address; a worker serves /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = crate::server::service::DEFAULT_LISTEN)]
    pub(in crate::cli) listen: std::net::SocketAddr,
    /// Public URL behind a proxy
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) public_url: Option<String>,
    /// Directory of Postgres programs, target version [env: CAPYDB_POSTGRES_BIN] [default: found or downloaded]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) postgres_bin: Option<PathBuf>,
    /// Working directory of imports [default: /var/lib/capydb/work for root, else under the temporary directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) work_dir: Option<PathBuf>,
    /// Plan limit of new projects (10GB, 500MiB) [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = plan_limit)]
    pub(in crate::cli) plan_limit: Option<u64>,
    /// Allow sources in private networks
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    pub(in crate::cli) allow_private_sources: bool,
    /// Log format on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Json, value_name = "FORM")]
    pub(in crate::cli) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ServerCommand {
    /// Print a new API key; creates the organization if missing
    NewKey(KeyArgs),
    /// Revoke an API key, read from standard input
    RevokeKey(SharedArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyArgs {
    /// Organization name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) organization: String,
    #[command(flatten)]
    pub(in crate::cli) shared: SharedArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Role {
    /// Serve the API
    Api,
    /// Run jobs
    Worker,
    /// Serve the API and run jobs
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// One JSON document per line
    Json,
    /// Human-readable text
    Text,
}
