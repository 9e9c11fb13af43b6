//! The command line: parses arguments, resolves settings, runs commands.

mod account;
mod args;
mod completion;
mod config_show;
mod context;
#[cfg(feature = "server")]
mod dev;
mod doctor;
mod dump;
mod error;
mod guide;
mod import;
mod integrations;
mod jobs;
mod man;
mod output;
mod preflight;
mod projects;
mod prompt;
#[cfg(feature = "server")]
mod server;
mod signals;
mod source;
mod via_dump;
mod webhooks;

pub use error::{CliError, ErrorKind};

use args::{Cli, Command, ConfigCommand, ImportArgs, ImportCommand, JobsCommand, ProjectsCommand};
use context::Context;
use output::Output;
use signals::interrupted;
use std::ffi::OsString;

/// The command line, for documentation and tests.
pub fn command_line() -> clap::Command {
    args::command()
}

/// Runs a command line; returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    completion::answer();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match args::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, &arguments),
    };
    let output = Output::new(cli.global.output_options());
    // A server process sets up its own log.
    if cli.global.verbose > 0 && !cli.command.is_server() {
        let level = if cli.global.verbose > 1 { tracing::Level::TRACE } else { tracing::Level::DEBUG };
        output::log_to_stderr(level);
    }
    match execute(cli, &output) {
        Ok(0) if !output.is_complete() => ErrorKind::Error.exit_code(),
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.kind.exit_code()
        }
    }
}

fn execute(cli: Cli, output: &Output) -> Result<u8, CliError> {
    let command = match cli.command {
        Command::Completion { shell } => {
            let script = completion::script(shell);
            output.result(&script, || serde_json::json!({ "script": script }));
            return Ok(0);
        }
        // Before the settings are resolved: an unreadable link must still be deletable.
        Command::Unlink => {
            account::unlink(output)?;
            return Ok(0);
        }
        Command::Man { folder } => {
            man::write(args::command(), &folder, output)?;
            return Ok(0);
        }
        Command::Import(ImportArgs { command: Some(ImportCommand::Guide { provider }), .. }) => {
            guide::run(output, provider.as_deref())?;
            return Ok(0);
        }
        #[cfg(feature = "server")]
        Command::Dev(args) => return dev::run(args, output),
        #[cfg(feature = "server")]
        Command::Server(args) => return server::run(*args, output, cli.global.verbose > 0),
        command => command,
    };
    let context = match command {
        Command::Login => Context::resolve_unlinked(&cli.global, output)?,
        _ => Context::resolve(&cli.global, output)?,
    };
    // One thread is enough for one server, and starts faster than a pool.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let work = async {
        match command {
            Command::Import(args) => match args.command {
                Some(ImportCommand::Preflight(args)) => preflight::run(&context, args).await,
                Some(ImportCommand::Guide { .. }) => Ok(()),
                None => import::run(&context, *args.import).await,
            },
            Command::Jobs(JobsCommand::Get { id }) => jobs::get(&context, &id).await,
            Command::Jobs(JobsCommand::List { project, limit }) => {
                jobs::list(&context, project.as_deref(), limit).await
            }
            Command::Jobs(JobsCommand::Cancel { id }) => jobs::cancel(&context, &id).await,
            Command::Jobs(JobsCommand::Wait { id, wait_timeout }) => jobs::wait(&context, &id, wait_timeout).await,
            Command::Projects(ProjectsCommand::List) => projects::list(&context).await,
            Command::Projects(ProjectsCommand::Create { name, slug, environment }) => {
                projects::create(&context, name, slug, environment).await
            }
            Command::Projects(ProjectsCommand::Show { project }) => projects::show(&context, project.as_deref()).await,
            Command::Projects(ProjectsCommand::Url { project, direct, role }) => {
                projects::url(&context, project.as_deref(), direct, role.as_deref()).await
            }
            Command::Webhooks(command) => webhooks::run(&context, command).await,
            Command::Integrations(command) => integrations::run(&context, command).await,
            Command::Login => account::login(&context, cli.global.api_key.is_some()).await,
            Command::Logout { all } => account::logout(&context, all),
            Command::Whoami => account::whoami(&context).await,
            Command::Link { project } => account::link(&context, project.as_deref()).await,
            Command::Config(ConfigCommand::Show) => config_show::run(&context),
            Command::Doctor => doctor::doctor(&context).await,
            Command::Completion { .. } | Command::Man { .. } | Command::Unlink => Ok(()),
            #[cfg(feature = "server")]
            Command::Dev(_) | Command::Server(_) => Ok(()),
        }
    };
    let done = runtime.block_on(async {
        tokio::select! {
            biased; // prefer the command's own, more specific interruption message
            done = work => done,
            () = interrupted() => Err(CliError::new(ErrorKind::Interrupted, "interrupted; nothing was changed")),
        }
    });
    runtime.shutdown_background(); // do not wait for a blocked read of a pipe
    done.map(|()| 0)
}
