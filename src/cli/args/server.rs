//! What is typed to run a control plane.

use super::plan_limit;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capydb dev
  capydb dev --ephemeral -- ./integration-tests.sh

With a command, it runs with CAPYDB_API_URL and CAPYDB_API_KEY set, and its exit code is ours.")]
pub(in crate::cli) struct DevArgs {
    /// Where everything lives [default: /var/lib/capydb/dev for root, else ~/.local/share/capydb/dev]
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
    /// Use a throw-away data directory
    #[arg(long)]
    pub(in crate::cli) ephemeral: bool,
    /// Port of the API on 127.0.0.1; 0 takes a free one [default: 7654; with --ephemeral a free one]
    #[arg(long)]
    pub(in crate::cli) port: Option<u16>,
    /// Folder of Postgres programs to use [env: CAPYDB_POSTGRES_BIN] [default: found, or fetched once]
    // An empty variable is one that is not set.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) postgres_bin: Option<PathBuf>,
    /// Plan limit of the project `dev` and of new ones (10GB, 500MiB) [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = plan_limit)]
    pub(in crate::cli) plan_limit: Option<u64>,
    /// Whether sources in private networks may be dialled
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(in crate::cli) allow_private_sources: bool,
    /// Keep uploaded dumps in a bucket (s3://bucket/prefix) instead of a folder; keys, region and
    /// endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) object_store: Option<String>,
    /// A command to run meanwhile
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

Start as many processes as you like, on as many machines: they share metadata, bucket and
target. The bucket's keys, region and endpoint come from AWS_ACCESS_KEY_ID,
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
    /// Postgres of metadata and queue; better in the environment [env: CAPYDB_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) database_url: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ServerOptions {
    /// Postgres of the projects' databases, as a superuser [env: CAPYDB_TARGET_URL] [default: that of the metadata]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) target_url: Option<String>,
    /// Bucket for uploaded dumps (s3://bucket/prefix)
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) object_store: Option<String>,
    /// What this process does
    #[arg(long, value_enum, default_value_t = Role::All, value_name = "ROLE")]
    pub(in crate::cli) role: Role,
    /// Imports at a time, of a process that works
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(in crate::cli) concurrency: u8,
    /// Where it listens; a worker answers /livez, /readyz and /metrics there
    #[arg(long, value_name = "ADDRESS", default_value = crate::server::service::DEFAULT_LISTEN)]
    pub(in crate::cli) listen: std::net::SocketAddr,
    /// Where clients reach the API, when something stands before it
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) public_url: Option<String>,
    /// Folder of Postgres programs of the target's version [env: CAPYDB_POSTGRES_BIN] [default: found, or fetched once]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) postgres_bin: Option<PathBuf>,
    /// Where imports put what they load [default: /var/lib/capydb/work for root, else below the folder for temporary files]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) work_dir: Option<PathBuf>,
    /// Plan limit of new projects (10GB, 500MiB) [default: 10GB]
    #[arg(long, value_name = "SIZE", value_parser = plan_limit)]
    pub(in crate::cli) plan_limit: Option<u64>,
    /// Whether sources in private networks may be dialled
    #[arg(long, value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    pub(in crate::cli) allow_private_sources: bool,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogForm::Json, value_name = "FORM")]
    pub(in crate::cli) log_format: LogForm,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ServerCommand {
    /// Make an API key of an organization, and print it; both are made when they are not there
    NewKey(KeyArgs),
    /// Make an API key worthless at once; the key is read from standard input
    RevokeKey(SharedArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyArgs {
    /// Name of the organization
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) organization: String,
    #[command(flatten)]
    pub(in crate::cli) shared: SharedArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Role {
    /// Answers the API
    Api,
    /// Runs jobs
    Worker,
    /// Both
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogForm {
    /// One JSON document a line
    Json,
    /// For people
    Text,
}
