//! Shell completion: the scripts, and the candidates that they request.

use super::args::{self, Global};
use super::context::Context;
use super::output::{Output, OutputFormat, ProgressFormat};
use crate::cli::output::report::label;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use std::ffi::OsStr;
use std::time::Duration;

/// The environment variable with which a shell's script requests candidates.
const VARIABLE: &str = "CAPYDB_COMPLETE";

/// Maximum time to list projects for a completion.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// Prints candidates and exits if the shell's script runs this process.
pub(super) fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The command line with completion of project names.
fn command() -> clap::Command {
    with_projects(args::command())
}

/// Completes the argument `project` of a command and its subcommands. Attached here and not in
/// `args`, because listing projects needs a [`Context`], which depends on `args`.
fn with_projects(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| match argument.get_id().as_str() {
        "project" => argument.add(ArgValueCompleter::new(projects)),
        _ => argument,
    });
    command.mut_subcommands(with_projects)
}

/// The completion script of a shell. It requests candidates from this program, so it never becomes
/// outdated.
pub(super) fn script(shell: clap_complete::Shell) -> String {
    let name = shell.to_string();
    let mut text = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&name) {
        let _ = shell.write_registration(VARIABLE, "capydb", "capydb", "capydb", &mut text); // into memory
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// The projects whose slug starts with `prefix`; none without a key or a network.
fn projects(prefix: &OsStr) -> Vec<CompletionCandidate> {
    let prefix = prefix.to_string_lossy().to_lowercase();
    let found = fetch_projects().unwrap_or_default();
    let find_pg_dump = found.into_iter().filter(|(slug, _)| slug.to_lowercase().starts_with(&prefix));
    find_pg_dump.map(|(slug, name)| CompletionCandidate::new(slug).help(Some(name.into()))).collect()
}

fn fetch_projects() -> Option<Vec<(String, String)>> {
    let global = Global {
        output: OutputFormat::Text,
        api_url: None,
        api_key: None,
        quiet: true,
        verbose: 0,
        progress: ProgressFormat::None,
        no_progress: false,
    };
    let output = Output::new(global.output_options());
    let context = Context::resolve(&global, &output).ok()?;
    let api = context.api().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let next = runtime.block_on(async { tokio::time::timeout(TIMEOUT, api.projects()).await });
    let projects = next.ok()?.ok()?;
    // Omit names that the shell would have to quote.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let known = projects.iter().filter(|project| plain(label(project)));
    Some(known.map(|project| (label(project).to_owned(), crate::util::format::printable(&project.name, 60))).collect())
}
