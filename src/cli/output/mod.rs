//! Terminal output: results on standard output, messages and progress on standard error.

pub(super) mod job_progress;
pub(super) mod lists;
pub(super) mod next_steps;
pub(super) mod preflight;
pub(super) mod progress;
pub(super) mod report;
mod table;

use super::{CliError, ErrorKind};
use crate::util::redact::masked;
use clap::ValueEnum;
use console::style;
use serde_json::{Value, json};
use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Write};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How a command writes results, messages and progress.
pub(super) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    progress: ProgressMode,
    /// A result could not be written.
    write_failed: Cell<bool>,
}

/// The format of results on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Human-readable text
    Text,
    /// One JSON document, including errors
    Json,
}

/// The format of progress on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressFormat {
    /// A progress bar on a terminal, plain lines elsewhere
    Auto,
    /// A plain line every few seconds
    Lines,
    /// One JSON document per line
    Json,
    /// No progress
    None,
}

/// The output flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputOptions {
    /// The format of results.
    pub(super) format: OutputFormat,
    /// Whether to show only results and errors.
    pub(super) quiet: bool,
    /// Whether to show what needs no attention, too.
    pub(super) verbose: bool,
    /// The format of progress.
    pub(super) progress: ProgressFormat,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressMode {
    /// A live line that is redrawn.
    Live,
    /// A plain line at intervals.
    Lines,
    /// A JSON document at intervals.
    Json,
    /// No progress.
    None,
}

impl Output {
    pub(super) fn new(options: OutputOptions) -> Self {
        let live = console::user_attended_stderr() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let progress = match options.progress {
            ProgressFormat::Json => ProgressMode::Json,
            ProgressFormat::None => ProgressMode::None,
            _ if options.quiet => ProgressMode::None,
            ProgressFormat::Auto if live => ProgressMode::Live,
            ProgressFormat::Auto | ProgressFormat::Lines => ProgressMode::Lines,
        };
        Self {
            json: options.format == OutputFormat::Json,
            quiet: options.quiet,
            verbose: options.verbose,
            progress,
            write_failed: Cell::new(false),
        }
    }

    pub(super) fn progress(&self) -> ProgressMode {
        self.progress
    }

    /// Whether to show what needs no attention, too.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether only results and errors are shown.
    #[cfg(feature = "server")]
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A message; hidden by `--quiet`.
    pub(super) fn note(&self, text: &str) {
        if self.progress == ProgressMode::Json {
            event(&json!({ "event": "note", "message": text }));
        } else if !self.quiet {
            write_stderr(text);
        }
    }

    /// A message that the user needs, shown even with `--quiet`.
    pub(super) fn urgent(&self, text: &str) {
        if self.progress == ProgressMode::Json {
            event(&json!({ "event": "note", "message": text }));
        } else {
            write_stderr(text);
        }
    }

    /// A warning; hidden by `--quiet`.
    pub(super) fn warn(&self, text: &str) {
        if self.progress == ProgressMode::Json {
            event(&json!({ "event": "warning", "message": text }));
        } else if !self.quiet {
            write_stderr(&format!("{} {text}", style("warning:").yellow().bold().for_stderr()));
        }
    }

    /// A question; the answer is typed on the same line.
    #[expect(clippy::unused_self, reason = "all output goes through `Output`")]
    pub(super) fn ask(&self, question: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question}").and_then(|()| stderr.flush()); // the read of the answer fails instead
    }

    /// Writes the result in the selected format.
    pub(super) fn result(&self, text: &str, json: impl FnOnce() -> Value) {
        self.text_result(text);
        self.json_result(json);
    }

    pub(super) fn text_result(&self, text: &str) {
        if !self.json {
            self.print(text);
        }
    }

    fn print(&self, text: &str) {
        if let Err(error) = print(text) {
            self.write_failed.set(true);
            write_stderr(&format!("{} cannot write the result: {error}", style("error:").red().bold().for_stderr()));
        }
    }

    /// Whether all results were written.
    pub(super) fn is_complete(&self) -> bool {
        !self.write_failed.get()
    }

    pub(super) fn json_result(&self, json: impl FnOnce() -> Value) {
        if self.json {
            self.print(&shown_json(&json()));
        }
    }

    /// Writes an error: as text on standard error, as JSON on standard output.
    pub(super) fn failure(&self, failure: &CliError) {
        if self.json {
            self.print(&shown_json(&document(failure)));
        }
        if self.progress == ProgressMode::Json {
            let mut error = document(failure)["error"].take();
            error["event"] = json!("error");
            event(&error);
            return;
        }
        write_stderr(&format!("{} {}", style("error:").red().bold().for_stderr(), masked(&failure.message)));
        if let Some(hint) = &failure.hint {
            write_stderr(&format!("{} {}", style("hint:").cyan().for_stderr(), masked(hint)));
        }
    }
}

/// Writes a line to standard error. A closed standard error is not an error.
fn write_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a JSON event to standard error.
fn event(document: &Value) {
    write_stderr(&escaped(&document.to_string()));
}

/// An indented document without invisible characters, which a terminal would hide.
fn shown_json(document: &Value) -> String {
    escaped(&format!("{document:#}"))
}

/// JSON with invisible characters escaped. They can only occur inside strings.
fn escaped(json: &str) -> String {
    let unseen = |c: char| crate::util::format::is_unseen(c) && c != '\n';
    if !json.contains(unseen) {
        return json.to_owned();
    }
    let shown = |c: char| if unseen(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(shown).collect::<Vec<_>>().concat()
}

fn document(failure: &CliError) -> Value {
    let mut error = json!({ "code": failure.kind.code(), "message": masked(&failure.message) });
    if let Some(hint) = &failure.hint {
        error["hint"] = json!(masked(hint));
    }
    let mut document = json!({ "error": error });
    if let Some((name, value)) = &failure.extra {
        document[name] = value.clone();
    }
    document
}

/// Prints clap's usage error, help or version; returns the exit code.
pub(super) fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    if !error.use_stderr() {
        let _ = error.print(); // a closed pipe is not an error
        return 0;
    }
    let text = masked(&error.to_string());
    if wants_json(arguments) {
        let _ = print(&format!("{:#}", document(&usage_failure(&text)))); // the command fails anyway
    }
    if text == error.to_string() {
        let _ = error.print(); // with colors
    } else {
        write_stderr(text.trim_end());
    }
    ErrorKind::Usage.exit_code()
}

/// The start of the line with which clap ends a usage error.
const CLAP_CLOSING: &str = "For more information, try ";

/// Clap's usage error as a [`CliError`]: its message, and its tips as the hint.
fn usage_failure(text: &str) -> CliError {
    let line = |line: &str| line.trim().to_owned();
    let last_line = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with(CLAP_CLOSING))
        .map(line)
        .filter(|line| !line.is_empty());
    let (tips, sentence): (Vec<_>, Vec<_>) = last_line.partition(|line| line.starts_with("tip:"));
    let sentence = sentence.join(" ");
    let command: Vec<&str> = text
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "))
        .unwrap_or("capydb")
        .split_whitespace()
        .take_while(|word| !word.starts_with(['-', '[', '<']))
        .collect();
    let tips: Vec<String> = tips.iter().map(|tip| tip.trim_start_matches("tip:").trim().to_owned()).collect();
    let help = format!("see {} --help", command.join(" "));
    let hint = if tips.is_empty() { help } else { format!("{}; {help}", tips.join("; ")) };
    CliError::new(ErrorKind::Usage, sentence.trim_start_matches("error: ")).hint(hint)
}

/// Whether arguments that failed to parse request JSON output.
fn wants_json(arguments: &[OsString]) -> bool {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    texts.iter().any(|text| text == "-ojson" || text == "-o=json" || text == "--output=json")
        || texts.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json")
}

/// Prints to standard output. A closed pipe (`| head`) is not an error.
fn print(text: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes the log to standard error as text.
pub(super) fn log_to_stderr(level: tracing::Level) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(console::colors_enabled_stderr());
    let _ = tracing_subscriber::registry().with(lines).with(own_events(level)).try_init(); // set once
}

/// Writes the log to standard error, one JSON document per line, for log collectors.
#[cfg(feature = "server")]
pub(super) fn log_json(level: tracing::Level) {
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(io::stderr);
    let _ = tracing_subscriber::registry().with(lines).with(own_events(level)).try_init(); // set once
}

/// Keeps this crate's log events, up to a level.
fn own_events(level: tracing::Level) -> FilterFn {
    let own_events: fn(&tracing::Metadata<'_>) -> bool = |about| about.target().starts_with("capydb");
    FilterFn::new(own_events).with_max_level_hint(level)
}
