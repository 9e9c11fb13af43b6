use super::args::{self, Global};
use super::context::Context;
use super::output::{Output, OutputFormat, ProgressForm};
use crate::cli::output::report::label;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use std::ffi::OsStr;
use std::time::Duration;

/// The environment variable by which the shell's script asks us for candidates.
const VARIABLE: &str = "CAPYDB_COMPLETE";

/// How long a person may wait for a list of projects.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Answers the shell's script; ends the program when it was asked.
pub(super) fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The command line, with the completion of project names.
fn command() -> clap::Command {
    with_projects(args::command())
}

/// Completes the argument `project` of a command and its subcommands. It is attached here, because
/// listing projects needs the context of a command, which depends on the arguments.
fn with_projects(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| match argument.get_id().as_str() {
        "project" => argument.add(ArgValueCompleter::new(projects)),
        _ => argument,
    });
    command.mut_subcommands(with_projects)
}

/// The completion script of a shell. It asks the program itself for candidates, so that it
/// never grows old.
pub(super) fn script(shell: clap_complete::Shell) -> String {
    let name = shell.to_string();
    let mut text = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&name) {
        let _ = shell.write_registration(VARIABLE, "capydb", "capydb", "capydb", &mut text); // into memory
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// The projects that begin so. Without a key or a network there are none.
fn projects(prefix: &OsStr) -> Vec<CompletionCandidate> {
    let prefix = prefix.to_string_lossy().to_lowercase();
    let found = fetch_projects().unwrap_or_default();
    let fitting = found.into_iter().filter(|(slug, _)| slug.to_lowercase().starts_with(&prefix));
    fitting.map(|(slug, name)| CompletionCandidate::new(slug).help(Some(name.into()))).collect()
}

fn fetch_projects() -> Option<Vec<(String, String)>> {
    let global = Global {
        output: OutputFormat::Text,
        api_url: None,
        api_key: None,
        quiet: true,
        verbose: 0,
        progress: ProgressForm::None,
        no_progress: false,
    };
    let output = Output::new(global.output_options());
    let context = Context::resolve(&global, &output).ok()?;
    let api = context.api().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, api.projects()).await });
    let projects = next.ok()?.ok()?;
    // A name that the shell would have to quote is not offered.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let known = projects.iter().filter(|project| plain(label(project)));
    Some(known.map(|project| (label(project).to_owned(), crate::util::format::printable(&project.name, 60))).collect())
}
