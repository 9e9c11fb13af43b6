//! Questions on the terminal, and secrets from standard input.

use super::signals::interrupted;
use super::{CliError, ErrorKind, output::Output};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};

/// Whether the user can be asked. The terminal itself is enough, because standard input may hold
/// the source URL.
pub(super) fn is_interactive() -> bool {
    io::stderr().is_terminal() && (io::stdin().is_terminal() || terminal().is_ok())
}

fn terminal() -> io::Result<File> {
    File::open("/dev/tty")
}

/// Asks a question and reads one line. Fails on the end of input and on an interruption.
pub(super) async fn ask(output: &Output, question: &str) -> Result<String, CliError> {
    output.ask(question);
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let read = if io::stdin().is_terminal() {
            io::stdin().read_line(&mut line)
        } else {
            terminal().and_then(|terminal| BufReader::new(terminal).read_line(&mut line))
        };
        read.map(|length| (length > 0).then(|| line.trim().to_owned()))
    });
    let stopped = CliError::new(ErrorKind::Interrupted, "no answer; nothing was changed");
    let line = tokio::select! {
        read = reading => read.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?,
        () = interrupted() => None,
    };
    line.ok_or(stopped)
}

/// Asks before a database is replaced.
pub(super) async fn confirm_recreate(output: &Output, project: &str) -> Result<(), CliError> {
    let question = format!(
        "This replaces the database of project {project}. Its current data is dropped once the \
         import has succeeded.\nContinue? [y/N] "
    );
    match ask(output, &question).await?.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::new(ErrorKind::Interrupted, "not confirmed; nothing was changed")),
    }
}

/// Reads one line of at most `longest` bytes from standard input; a terminal does not echo it.
pub(super) fn read_secret_line(what: &str, longest: u64) -> Result<String, CliError> {
    let nothing = || CliError::new(ErrorKind::Usage, format!("no {what} on standard input"));
    if io::stdin().is_terminal() {
        let term = console::Term::stderr();
        let _ = term.write_str(&format!("{what}: ")); // the read reports a broken terminal
        return term.read_secure_line().map_err(|_| nothing());
    }
    let mut line = String::new();
    let read = io::Read::take(io::stdin().lock(), longest).read_line(&mut line);
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(nothing()),
    }
}
