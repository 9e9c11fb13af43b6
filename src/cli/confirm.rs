use super::{Failure, Kind, output::Output};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};

/// Whether there is a person who can be asked. Standard input may be taken by the source URL,
/// so the terminal itself will do.
pub(super) fn person_is_there() -> bool {
    io::stderr().is_terminal() && (io::stdin().is_terminal() || terminal().is_ok())
}

fn terminal() -> io::Result<File> {
    File::open("/dev/tty")
}

/// Asks a question and reads one line.
pub(super) fn ask(output: &Output, question: &str) -> Result<String, Failure> {
    output.ask(question);
    let mut line = String::new();
    let read = if io::stdin().is_terminal() {
        io::stdin().read_line(&mut line)
    } else {
        terminal().and_then(|terminal| BufReader::new(terminal).read_line(&mut line))
    };
    let read = read.map_err(anyhow::Error::from)?;
    if read == 0 {
        return Err(Failure::new(Kind::Interrupted, "no answer; nothing was changed"));
    }
    Ok(line.trim().to_owned())
}

/// Asks before a database is replaced.
pub(super) fn confirm_recreate(output: &Output, project: &str, database: &str) -> Result<(), Failure> {
    let question = format!(
        "This replaces the database {database} of project {project}: everything in it now is dropped once the \
         import has succeeded.\nContinue? [y/N] "
    );
    match ask(output, &question)?.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Kind::Interrupted, "not confirmed; nothing was changed")),
    }
}
