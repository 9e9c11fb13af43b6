//! Command-line arguments and their help texts.

#[cfg(feature = "server")]
mod server;
mod upload;
mod webhooks;

#[cfg(feature = "server")]
pub(super) use server::{DevArgs, KeyArgs, LogFormat, Role, ServerArgs, ServerCommand, SharedArgs};
pub(super) use upload::UploadArgs;
pub(super) use webhooks::{ConnectCommand, IntegrationsCommand, WebhooksCommand};

use super::output::{OutputFormat, OutputOptions, ProgressFormat};
use crate::config::ENV_SOURCE_URL;
use crate::dump::encoding::SourceEncoding;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use std::path::PathBuf;
use std::time::Duration;

/// Move a Postgres database into CapyDB
#[derive(Debug, Parser)]
#[command(name = "capydb", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: Global,
}

/// Help template: examples before options.
const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}{after-help}

{all-args}
";

/// The command line; every command uses the same help template.
pub(super) fn command() -> clap::Command {
    templated(<Cli as clap::CommandFactory>::command())
}

fn templated(command: clap::Command) -> clap::Command {
    command.help_template(TEMPLATE).mut_subcommands(templated)
}

/// Parses the arguments.
pub(super) fn parse(arguments: &[std::ffi::OsString]) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    <Cli as clap::FromArgMatches>::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

const EXAMPLES: &str = "\
Examples:
  capydb import preflight --source-url \"postgres://user@host/db\"
  capydb import --source-url \"postgres://user@host/db\" --recreate --wait
  capydb import --file app.dump --recreate --wait
  capydb jobs wait JOB

Exit codes:
  0 success   1 error or failed job   2 usage   3 key missing or rejected   4 not found
  5 conflict or failed precondition   6 timeout   130 interrupted";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, global = true, value_name = "FORMAT")]
    pub(super) output: OutputFormat,
    // Not clap's `env`: it would show these in every usage line.
    /// Base URL of the control plane [env: CAPYDB_API_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) api_url: Option<String>,
    /// API key, visible in process lists; `-` reads standard input [env: CAPYDB_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub(super) api_key: Option<String>,
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Log API calls; repeat for more detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Progress format on standard error
    #[arg(long, value_enum, default_value_t = ProgressFormat::Auto, global = true, value_name = "FORM")]
    pub(super) progress: ProgressFormat,
    /// No progress bar (same as --progress lines)
    #[arg(long, global = true, conflicts_with = "progress")]
    pub(super) no_progress: bool,
}

impl Global {
    /// The output settings of this command.
    pub(super) fn output_options(&self) -> OutputOptions {
        OutputOptions {
            format: self.output,
            quiet: self.quiet,
            verbose: self.verbose > 0,
            progress: if self.no_progress { ProgressFormat::Lines } else { self.progress },
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Import a database from a live source or a dump file
    Import(ImportArgs),
    /// Manage jobs
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Manage projects
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Manage webhook endpoints
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Push connection strings to Vercel, Netlify or .env
    #[command(subcommand)]
    Integrations(IntegrationsCommand),
    /// Log in through the browser or with --api-key
    #[command(
        after_help = "Examples:\n  capydb login\n  capydb login --api-key - < key-file\n  capydb login --api-url http://127.0.0.1:7654/api/capydb --api-key -"
    )]
    Login,
    /// Delete the saved key of the active organization
    Logout {
        /// Delete the saved keys of all organizations
        #[arg(long)]
        all: bool,
    },
    /// Show the current organization and key
    Whoami,
    /// Link this directory to a project
    Link {
        /// Project id, slug or name [default: the only project]
        #[arg(value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Unlink this directory
    Unlink,
    /// Show configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check login, network, project and tools
    Doctor,
    /// Run a local control plane
    #[cfg(feature = "server")]
    Dev(DevArgs),
    /// Run a production API or worker
    #[cfg(feature = "server")]
    Server(Box<ServerArgs>),
    /// Generate man pages
    #[command(after_help = "Examples:\n  capydb man ~/.local/share/man/man1")]
    Man {
        /// Output directory
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Print a shell completion script
    #[command(
        after_help = "Examples:\n  capydb completion bash > ~/.local/share/bash-completion/completions/capydb\n  capydb completion zsh > \"${fpath[1]}/_capydb\""
    )]
    Completion {
        /// Shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether this command runs a server process, which sets up its own log.
    pub(super) fn is_server(&self) -> bool {
        match self {
            #[cfg(feature = "server")]
            Self::Server(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = IMPORT_EXAMPLES)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    pub(super) command: Option<ImportCommand>,
    #[command(flatten)]
    pub(super) import: Box<ImportOptions>,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  # Replace the project's database with a live one, unattended
  CAPYDB_SOURCE_URL=\"postgres://user:password@host/db\" capydb import --recreate --wait

  # From a dump (pg_dump -Fc or plain SQL)
  pg_dump -Fc -f app.dump \"$DATABASE_URL\"
  capydb import app.dump --recreate";

const FILE_HELP: &str = "\
Dump: custom format or plain SQL, also compressed (.gz, .zst); `-` reads standard input.

Several --file options with plain SQL are one import, in the order given: \
--file roles.sql --file schema.sql --file data.sql";

const SOURCE_HELP: &str = "\
Source: a connection URL, or the path of a dump; several files with plain SQL are one import; `-` reads \
a dump from standard input.

--source-url and --file say the same explicitly.";

#[derive(Debug, Args)]
pub(super) struct SourceOptions {
    /// Source: a URL, dump files, or `-`
    #[arg(value_name = "SOURCE", long_help = SOURCE_HELP, conflicts_with_all = ["source_url", "file"], value_hint = ValueHint::AnyPath)]
    pub(super) source: Vec<PathBuf>,
    /// Live source URL; `-` reads standard input
    #[arg(long, value_name = "URL", long_help = SOURCE_URL_HELP, conflicts_with = "file", help_heading = "Source")]
    pub(super) source_url: Option<String>,
    /// Dump: custom format, plain SQL, .gz or .zst; `-` reads standard input
    #[arg(long, value_name = "PATH", long_help = FILE_HELP, value_hint = ValueHint::FilePath, help_heading = "Source")]
    pub(super) file: Vec<PathBuf>,
    /// Encoding of the dump's text, if the dump declares a wrong one or none (WIN1252)
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    pub(super) source_encoding: Option<SourceEncoding>,
    /// File of the certificate authorities of the live source (PEM), like sslrootcert
    #[arg(long, value_name = "FILE", conflicts_with = "file", value_hint = ValueHint::FilePath, help_heading = "Source")]
    pub(super) source_ca: Option<PathBuf>,
    /// Do not replace pooled endpoints with direct ones
    #[arg(long, help_heading = "Source")]
    pub(super) no_rewrite: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate flag")]
pub(super) struct ImportOptions {
    #[command(flatten)]
    pub(super) source: SourceOptions,
    /// Run pg_dump on this machine and upload the dump
    #[arg(long, conflicts_with = "file", help_heading = "Source")]
    pub(super) via_dump: bool,
    /// Replace the target database once the import has succeeded
    #[arg(long)]
    pub(super) recreate: bool,
    /// With --recreate, replace the database even if the source is empty
    #[arg(long, requires = "recreate")]
    pub(super) allow_empty: bool,
    /// Wait for the import to finish; the default on a terminal
    #[arg(long)]
    pub(super) wait: bool,
    /// Do not wait for the import to finish; the default in scripts
    #[arg(long, conflicts_with_all = ["wait", "wait_timeout"])]
    pub(super) detach: bool,
    /// Maximum time to wait (30s, 15m, 2h); the import continues
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) wait_timeout: Option<Duration>,
    /// Project id, slug or name [default: the linked or only project]
    #[arg(long, value_name = "REF")]
    pub(super) project: Option<String>,
    /// Replace the database without confirmation
    #[arg(short, long, alias = "confirm")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) upload: UploadArgs,
}

const SOURCE_URL_HELP: &str = "\
Connection URL of a live source (postgres://user:password@host:5432/database); `-` reads it from \
standard input.

Other users of this machine can see command-line arguments: pass a URL that contains a password in \
the environment variable CAPYDB_SOURCE_URL or on standard input. TLS is required for public \
hosts (sslmode=require) unless the URL sets sslmode.";

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Check a source without changing anything
    #[command(
        after_help = "Examples:\n  capydb import preflight --source-url \"postgres://user:password@host/db\"\n  capydb import preflight --file app.dump --target-version 17 --plan-limit 10GB\n  capydb import preflight --local --source-url \"postgres://user@localhost/db\"\n  echo \"$SOURCE\" | capydb import preflight --source-url - -o json"
    )]
    Preflight(PreflightArgs),
    /// Show the migration guide for a provider
    #[command(
        after_help = "Examples:\n  capydb import guide            lists the providers\n  capydb import guide supabase"
    )]
    Guide {
        /// Provider (neon, supabase, rds, …)
        #[arg(add = ArgValueCandidates::new(providers))]
        provider: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub(super) source: SourceOptions,
    /// Inspect the live source from this machine, instead of the control plane
    #[arg(long, conflicts_with = "file", help_heading = "Source")]
    pub(super) local: bool,
    /// Check as for import --recreate
    #[arg(long)]
    pub(super) recreate: bool,
    /// With --recreate, accept a source that is empty
    #[arg(long, requires = "recreate")]
    pub(super) allow_empty: bool,
    /// Project id, slug or name [default: the linked or only project]
    #[arg(long, value_name = "REF")]
    pub(super) project: Option<String>,
    /// Target major version; no login needed
    #[arg(long, value_name = "MAJOR", help_heading = "Offline", value_parser = target_version)]
    pub(super) target_version: Option<u32>,
    /// Plan limit (10GB, 500MiB); no login needed
    #[arg(long, value_name = "SIZE", help_heading = "Offline", value_parser = plan_limit)]
    pub(super) plan_limit: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting and its origin; secrets as fingerprints
    Show,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// Show a job
    Get {
        /// Job id
        id: String,
    },
    /// List a project's jobs, newest first
    List {
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
        /// Maximum number of jobs
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Cancel an import and wait for it to stop
    Cancel {
        /// Job id
        id: String,
    },
    /// Wait for a job to finish
    Wait {
        /// Job id
        id: String,
        /// Maximum time to wait (30s, 15m, 2h); the job continues
        #[arg(long, value_name = "TIME", value_parser = time)]
        wait_timeout: Option<Duration>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ProjectsCommand {
    /// List the projects that the key can access
    List,
    /// Create a project with an empty database
    #[command(
        after_help = "Examples:\n  capydb projects create shop\n  capydb projects create \"The Shop\" --slug shop"
    )]
    Create {
        /// Name of the project
        #[arg(value_name = "NAME")]
        name: String,
        /// Short name for commands and URLs (a-z, 0-9, -) [default: made from the name]
        #[arg(long, value_name = "SLUG")]
        slug: Option<String>,
        /// Environment, such as production [default: development]
        #[arg(long, value_name = "NAME")]
        environment: Option<String>,
    },
    /// Show a project: state, size and limits
    Show {
        /// Project id, slug or name [default: the linked or only project]
        #[arg(value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Print a project's connection URL, including the password
    Url {
        /// Project id, slug or name [default: the linked or only project]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
        /// URL without connection pooling
        #[arg(long)]
        direct: bool,
        /// URL of a role that owns nothing, so that row security applies to it; created if needed
        #[arg(long, value_name = "NAME")]
        role: Option<String>,
    },
}

/// Completion candidates for `import guide`.
fn providers() -> Vec<CompletionCandidate> {
    let all = crate::source::providers::PROVIDERS.iter();
    all.map(|provider| CompletionCandidate::new(provider.id).help(Some(provider.name.into()))).collect()
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a time such as 30s, 15m or 2h".to_owned())
}

/// The major versions that a target may have.
const TARGET_VERSIONS: std::ops::RangeInclusive<u32> = 15..=18;

fn target_version(text: &str) -> Result<u32, String> {
    let version = text.parse().ok().filter(|version| TARGET_VERSIONS.contains(version));
    version.ok_or_else(|| {
        format!("expected a major version from {} to {}", TARGET_VERSIONS.start(), TARGET_VERSIONS.end())
    })
}

fn plan_limit(text: &str) -> Result<u64, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the size has no unit: use for example 10GB or 500MiB".to_owned());
    }
    let size: bytesize::ByteSize = text.parse().map_err(|_| "expected a size such as 10GB or 500MiB".to_owned())?;
    match size.as_u64() {
        0 => Err("the limit must be greater than zero".into()),
        bytes if bytes > i64::MAX as u64 => Err("the limit is too large".into()),
        bytes => Ok(bytes),
    }
}

/// The environment variable that holds the source URL, for messages.
pub(super) const SOURCE_VARIABLE: &str = ENV_SOURCE_URL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_definitions_are_valid() {
        command().debug_assert();
    }
}
