//! `capydb dev`: runs a local control plane, optionally for one command.

use super::args::DevArgs;
use super::output::{Output, log_to_stderr};
use super::signals::{SignalStream, StopSignal};
use super::{CliError, ErrorKind};
use crate::config;
use crate::config::{ENV_API_KEY, ENV_API_URL, running_dev};
use crate::server::dev::{self, DEFAULT_PORT, Dev, DevOptions};
use crate::util::dirs::dev_data_dir;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

/// `capydb dev`: runs until Ctrl-C, or until the given command exits.
pub(super) fn run(args: DevArgs, output: &Output) -> Result<u8, CliError> {
    let talks = args.command.is_empty() && !output.is_quiet();
    log_to_stderr(if talks && output.is_verbose() { tracing::Level::INFO } else { tracing::Level::ERROR });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    runtime.block_on(serve(args, output))
}

async fn serve(args: DevArgs, output: &Output) -> Result<u8, CliError> {
    let default_port = if args.ephemeral { 0 } else { DEFAULT_PORT };
    let data_dir = match args.data_dir {
        Some(folder) => folder,
        None if args.ephemeral => dev::ephemeral_data_dir(),
        None => dev_data_dir().ok_or_else(|| {
            CliError::new(ErrorKind::Error, "cannot find the home directory")
                .hint("choose a data directory with --data-dir")
        })?,
    };
    let options = DevOptions {
        data_dir,
        ephemeral: args.ephemeral,
        port: args.port.unwrap_or(default_port),
        postgres_bin: args.postgres_bin.or_else(config::postgres_bin),
        plan_limit: args.plan_limit,
        allow_private_sources: args.allow_private_sources,
        object_store: args.object_store,
    };
    let mut stop = SignalStream::listen().map_err(anyhow::Error::from)?;
    let print_note = |line: &str| output.note(line);
    let started = tokio::select! {
        started = dev::start(options, &print_note) => started?,
        _ = stop.next() => return Err(CliError::new(ErrorKind::Interrupted, "interrupted during startup")),
    };
    if args.command.is_empty() {
        run_until_signal(started, stop, output, args.allow_private_sources).await
    } else {
        run_command(started, stop, &args.command).await
    }
}

async fn run_until_signal(
    mut dev: Dev,
    mut stop: SignalStream,
    output: &Output,
    private: bool,
) -> Result<u8, CliError> {
    output
        .result(&banner(&dev, private), || serde_json::json!({ "api_url": dev.api_url, "api_key_file": dev.key_file }));
    let postgres_exited = tokio::select! {
        _ = stop.next() => false,
        () = dev.postgres_exited() => true,
    };
    output.note("Stopping …");
    let stopped = dev.stop().await;
    if postgres_exited {
        return Err(postgres_stopped());
    }
    stopped?;
    output.note("Stopped.");
    Ok(0)
}

fn postgres_stopped() -> CliError {
    let why = "the private Postgres stopped unexpectedly; its log is postgres/log in the data directory";
    CliError::new(ErrorKind::Error, why)
        .hint("the usual cause is a full disk; no data is lost: start again with the same data directory")
}

/// How to use the control plane. The key is not printed, so that it reaches no log.
fn banner(dev: &Dev, private: bool) -> String {
    let (url, key, data) = (&dev.api_url, dev.key_file.display(), dev.data_dir.display());
    let panel = url.trim_end_matches("api/capydb");
    let sources = if private { "allowed" } else { "rejected" };
    let data_note = if dev.is_ephemeral() { "its data is deleted" } else { "its data is kept" };
    // Commands of this user find the one in the default directory; a login or a link comes before it.
    let is_found = running_dev().is_some_and(|found| found.api_url == *url);
    let exports = if is_found {
        String::new()
    } else {
        format!("export {ENV_API_URL}={url}\n  export {ENV_API_KEY}=\"$(cat {key})\"\n  ")
    };
    format!(
        "CapyDB is running on this machine (Postgres {}, project dev).\n\n  \
         panel            {panel}\n  \
         data             {data}\n  \
         private sources  {sources}\n\n\
         In another terminal:\n\n  \
         {exports}capydb import app.dump --recreate\n\n\
         Ctrl-C stops it; {data_note}. With -v, it logs what it does.",
        dev.postgres_major
    )
}

/// Runs a command against the control plane; returns its exit code.
async fn run_command(mut dev: Dev, mut stop: SignalStream, message: &[OsString]) -> Result<u8, CliError> {
    let (program, arguments) = message.split_first().ok_or_else(|| CliError::new(ErrorKind::Usage, "no command"))?;
    let spawned = tokio::process::Command::new(program)
        .args(arguments)
        .env(ENV_API_URL, &dev.api_url)
        .env(ENV_API_KEY, &dev.api_key)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            dev.stop().await?;
            return Err(CliError::new(ErrorKind::Error, format!("cannot run {}: {error}", program.to_string_lossy())));
        }
    };
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (mut next, mut postgres_exited) = (false, false);
    let status = loop {
        let request = tokio::select! {
            status = child.wait() => break status,
            request = stop.next() => request,
            () = dev.postgres_exited(), if !postgres_exited => {
                postgres_exited = true;
                StopSignal::Terminate
            }
        };
        // A terminal sends Ctrl-C to the command too, which decides when to exit. A signal sent to
        // this process alone is forwarded; a second one kills the command.
        if let (StopSignal::Terminate, Some(pid)) = (request, pid) {
            let signal = if next { Signal::KILL } else { Signal::TERM };
            let _ = kill_process(pid, signal); // the command may have exited
            next = true;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let stopped = dev.stop().await;
    let status = status.map_err(anyhow::Error::from)?;
    if postgres_exited {
        return Err(postgres_stopped());
    }
    stopped?;
    // As in shells: 128 plus the signal number.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}
