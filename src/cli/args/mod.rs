#[cfg(feature = "server")]
mod server;
mod webhooks;

#[cfg(feature = "server")]
pub(super) use server::{DevArgs, KeyArgs, LogForm, Role, ServerArgs, ServerCommand, SharedArgs};
pub(super) use webhooks::{ConnectCommand, IntegrationsCommand, WebhooksCommand};

use super::output::{OutputFormat, OutputOptions, ProgressForm};
use crate::config::ENV_SOURCE_URL;
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

/// Examples teach faster than options, so they come first.
const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}{after-help}

{all-args}
";

/// The command line, with the same look of help for every command.
pub(super) fn command() -> clap::Command {
    templated(<Cli as clap::CommandFactory>::command())
}

fn templated(command: clap::Command) -> clap::Command {
    command.help_template(TEMPLATE).mut_subcommands(templated)
}

/// Reads a command line.
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
  0 success   1 error or failed job   2 usage   3 key missing or refused   4 not found
  5 conflict or failed precondition   6 timeout   130 interrupted";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Form of the result on standard output
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text, global = true, value_name = "FORMAT")]
    pub(super) output: OutputFormat,
    // Clap's own reading of the environment would show these in every usage line.
    /// Base URL of the control plane [env: CAPYDB_API_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) api_url: Option<String>,
    /// API key; better in the environment, where other users do not see it [env: CAPYDB_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub(super) api_key: Option<String>,
    /// Only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Show every call
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// How progress is shown on standard error
    #[arg(long, value_enum, default_value_t = ProgressForm::Auto, global = true, value_name = "FORM")]
    pub(super) progress: ProgressForm,
    /// The same as --progress lines
    #[arg(long, global = true, conflicts_with = "progress")]
    pub(super) no_progress: bool,
}

impl Global {
    /// How this command shows its results, messages and progress.
    pub(super) fn output_options(&self) -> OutputOptions {
        OutputOptions {
            format: self.output,
            quiet: self.quiet,
            progress: if self.no_progress { ProgressForm::Lines } else { self.progress },
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Import a database from a live source or a dump file
    Import(ImportArgs),
    /// Look at jobs
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Look at projects
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Tell other programs when imports and jobs are over
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Keep the connection strings of an application up to date where it is deployed
    #[command(subcommand)]
    Integrations(IntegrationsCommand),
    /// Save an API key: approve in the browser, or give one with --api-key
    #[command(
        after_help = "Examples:\n  capydb login\n  capydb login --api-key - < key-file\n  capydb login --api-url http://127.0.0.1:7654/api/capydb --api-key -"
    )]
    Login,
    /// Forget the saved key of the active organization
    Logout {
        /// Those of all organizations
        #[arg(long)]
        all: bool,
    },
    /// Show whose key is used
    Whoami,
    /// Link this directory to a project, so that commands here mean it
    Link {
        /// Project: id, slug or name [default: the only one]
        #[arg(value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Take the link of this directory away
    Unlink,
    /// Look at settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check that everything an import needs is in order
    Doctor,
    /// Run a whole control plane on this machine
    #[cfg(feature = "server")]
    Dev(DevArgs),
    /// Run a process of a control plane for many machines
    #[cfg(feature = "server")]
    Server(Box<ServerArgs>),
    /// Write the manual pages into a folder
    #[command(after_help = "Examples:\n  capydb man ~/.local/share/man/man1")]
    Man {
        /// The folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Print the completion script of a shell
    #[command(
        after_help = "Examples:\n  capydb completion bash > ~/.local/share/bash-completion/completions/capydb\n  capydb completion zsh > \"${fpath[1]}/_capydb\""
    )]
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether this is a process of a control plane.
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
  capydb import --file app.dump --recreate --wait";

#[derive(Debug, Args)]
pub(super) struct SourceOptions {
    /// Connection URL of a live source; `-` reads it from standard input
    #[arg(long, value_name = "URL", long_help = SOURCE_URL_HELP, conflicts_with = "file", help_heading = "Source")]
    pub(super) source_url: Option<String>,
    /// Dump file: custom format (pg_dump -Fc) or plain SQL, also as .gz or .zst; `-` reads a pipe
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, help_heading = "Source")]
    pub(super) file: Option<PathBuf>,
    /// Use the URL as it is, although its provider has a better endpoint for this
    #[arg(long, help_heading = "Source")]
    pub(super) no_rewrite: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct ImportOptions {
    #[command(flatten)]
    pub(super) source: SourceOptions,
    /// Dump the source on this machine and upload the dump: for sources that only this machine
    /// can reach
    #[arg(long, conflicts_with = "file", help_heading = "Source")]
    pub(super) via_dump: bool,
    /// Replace the target database: what it holds now is dropped once the import has succeeded
    #[arg(long)]
    pub(super) recreate: bool,
    /// Wait until the import is over, and report
    #[arg(long)]
    pub(super) wait: bool,
    /// Stop waiting after this time (30s, 15m, 2h); the import itself goes on
    #[arg(long, value_name = "TIME", value_parser = time, requires = "wait")]
    pub(super) wait_timeout: Option<Duration>,
    /// Project: id, slug or name [default: the linked one, or the only one]
    #[arg(long, value_name = "REF")]
    pub(super) project: Option<String>,
    /// Do not ask before replacing the database
    #[arg(short, long, alias = "confirm")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) upload: UploadArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Upload")]
pub(super) struct UploadArgs {
    /// Try again when storage takes nothing for this time
    #[arg(long, value_name = "TIME", value_parser = stall_timeout, default_value = "60s")]
    pub(super) stall_timeout: Duration,
    /// Send at most so much a second (20M, 500K)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) limit_rate: Option<u64>,
    /// Parts to send at the same time, where the control plane takes parts
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(super) upload_concurrency: u8,
    /// Send all of the dump, also what an earlier run has sent already
    #[arg(long)]
    pub(super) no_resume: bool,
}

const SOURCE_URL_HELP: &str = "\
Connection URL of a live source (postgres://user:password@host:5432/database); `-` reads it from \
standard input.

Arguments can be seen by other users of the machine, so a URL with a password is better given by \
the environment variable CAPYDB_SOURCE_URL or on standard input. TLS is asked for (sslmode=require) \
unless the URL says otherwise.";

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Check a source without changing anything
    #[command(
        after_help = "Examples:\n  capydb import preflight --source-url \"postgres://user:password@host/db\"\n  capydb import preflight --file app.dump --target-version 17 --plan-limit 10GB\n  capydb import preflight --local --source-url \"postgres://user@localhost/db\"\n  echo \"$SOURCE\" | capydb import preflight --source-url - -o json"
    )]
    Preflight(PreflightArgs),
    /// How to move away from a provider: where its URL hides, what bites, the commands
    #[command(
        after_help = "Examples:\n  capydb import guide            lists the providers\n  capydb import guide supabase"
    )]
    Guide {
        /// The provider (neon, supabase, rds, …)
        #[arg(add = ArgValueCandidates::new(providers))]
        provider: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub(super) source: SourceOptions,
    /// Look at the live source from this machine, with more checks than the service makes
    #[arg(long, conflicts_with = "file", help_heading = "Source")]
    pub(super) local: bool,
    /// Judge a dump as for an import with --recreate
    #[arg(long)]
    pub(super) recreate: bool,
    /// Project: id, slug or name [default: the linked one, or the only one]
    #[arg(long, value_name = "REF")]
    pub(super) project: Option<String>,
    /// Major version of the target; with this or --plan-limit nothing is asked of the service
    #[arg(long, value_name = "MAJOR", help_heading = "Offline", value_parser = clap::value_parser!(u32).range(10..100))]
    pub(super) target_version: Option<u32>,
    /// Size that the plan allows (10GB, 500MiB); with this nothing is asked of the service
    #[arg(long, value_name = "SIZE", help_heading = "Offline", value_parser = plan_limit)]
    pub(super) plan_limit: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting and where it comes from; secrets as fingerprints
    Show,
}

#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// Show one job
    Get {
        /// The job's id
        id: String,
    },
    /// List a project's jobs, newest first
    List {
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
        /// How many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Stop an import, and wait until it is over; the target stays as it was before
    Cancel {
        /// The job's id
        id: String,
    },
    /// Wait until a job is over, and report
    Wait {
        /// The job's id
        id: String,
        /// Stop waiting after this time (30s, 15m, 2h); the job itself goes on
        #[arg(long, value_name = "TIME", value_parser = time)]
        wait_timeout: Option<Duration>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ProjectsCommand {
    /// List the projects that the key may see
    List,
    /// Print a project's connection URL, password included
    Url {
        /// Project: id, slug or name [default: the linked one, or the only one]
        #[arg(long, value_name = "REF")]
        project: Option<String>,
        /// The URL without connection pooling
        #[arg(long)]
        direct: bool,
    },
}

/// The words of `import guide`.
fn providers() -> Vec<CompletionCandidate> {
    let all = crate::source::providers::PROVIDERS.iter();
    all.map(|provider| CompletionCandidate::new(provider.id).help(Some(provider.name.into()))).collect()
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "give a time such as 30s, 15m or 2h".to_owned())
}

fn stall_timeout(text: &str) -> Result<Duration, String> {
    match time(text)? {
        short if short < Duration::from_secs(1) => Err("give a second at least".into()),
        long if long > Duration::from_hours(24) => Err("give a day at most".into()),
        patience => Ok(patience),
    }
}

fn rate(text: &str) -> Result<u64, String> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    match text.parse::<bytesize::ByteSize>() {
        Ok(rate) if rate.as_u64() >= 1000 => Ok(rate.as_u64()),
        Ok(_) => Err("give 1K at least".into()),
        Err(_) => Err("give a size such as 20M or 500K".into()),
    }
}

fn plan_limit(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| "give a size such as 10GB or 500MiB".to_owned())?;
    match size.as_u64() {
        0 => Err("the limit must be larger than nothing".into()),
        bytes if bytes > i64::MAX as u64 => Err("the limit is too large".into()),
        bytes => Ok(bytes),
    }
}

/// Name of the environment variable, for messages.
pub(super) const SOURCE_VARIABLE: &str = ENV_SOURCE_URL;

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
