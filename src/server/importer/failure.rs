use super::child::Finished;
use crate::server::store::Ending;

/// Why an import failed, in words for the person who asked for it.
#[derive(Debug)]
pub(in crate::server) struct Failure {
    message: String,
    exit_code: Option<i32>,
    stderr: Option<String>,
    transient: bool,
}

impl Failure {
    /// The same import can only fail again.
    pub(super) fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: None, stderr: None, transient: false }
    }

    /// The same import may work later.
    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self { transient: true, ..Self::permanent(message) }
    }

    /// A program failed; its own words say why.
    pub(super) fn program(doing: &str, finished: &Finished) -> Self {
        Self::told(doing, finished, Lines::Unknown)
    }

    /// psql failed on a plain dump, whose lines it numbers.
    pub(super) fn script(doing: &str, finished: &Finished) -> Self {
        Self::told(doing, finished, Lines::OfTheDump)
    }

    fn told(doing: &str, finished: &Finished, lines: Lines) -> Self {
        let stderr = &finished.stderr;
        let lost =
            ["server closed the connection", "could not connect", "connection to server", "terminating connection"];
        Self {
            message: format!("{doing} failed: {}", reason(stderr, lines)),
            exit_code: finished.code,
            stderr: Some(crate::text::tail(stderr, LONGEST_STDERR)),
            transient: lost.iter().any(|words| stderr.contains(words)),
        }
    }

    /// Whether psql met an error in the script, and did not just lose its connection (psql,
    /// "Exit Status").
    pub(super) fn is_error_of_script(&self) -> bool {
        self.exit_code == Some(3)
    }

    /// The transaction is there in spite of the error: the dump has ended it itself, in a
    /// disguise that nobody saw through.
    pub(super) fn although_committed(self) -> Self {
        let message = format!("{}; what stood before that was committed by the dump itself", self.message);
        Self { message, ..self }
    }

    pub(in crate::server) fn into_ending(self) -> Ending {
        Ending {
            result: None,
            error: Some(self.message),
            exit_code: self.exit_code,
            stderr: self.stderr,
            transient: self.transient,
        }
    }
}

/// Whether the line numbers in psql's messages mean anything to the person.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    OfTheDump,
    Unknown,
}

/// Trouble of the control plane itself.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::transient(format!("{error:#}"))
    }
}

/// What is kept of a program's standard error, in bytes.
const LONGEST_STDERR: usize = 4096;

/// The sentence that names the cause: the first error of the server, with the object that
/// was being made, or else the last thing the program said.
fn reason(stderr: &str, numbered: Lines) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let Some(at) = lines.iter().position(|line| line.contains("ERROR:") || line.contains("FATAL:")) else {
        return crate::text::printable(lines.last().unwrap_or(&"it gave no reason"), 500);
    };
    let words = lines[at];
    let error = words.find("ERROR:").or_else(|| words.find("FATAL:")).map_or(words, |from| &words[from..]);
    let mut text = error.to_owned();
    for line in &lines[at + 1..lines.len().min(at + 4)] {
        if line.starts_with("DETAIL:") || line.starts_with("HINT:") {
            text = format!("{text} {line}");
        }
    }
    // pg_restore quotes the statement after the error, psql names its line before it.
    let command = lines[at..].iter().find_map(|line| line.strip_prefix("Command was: "));
    let place = words.split_once("<stdin>:").and_then(|(_, rest)| rest.split_once(':')).map(|(line, _)| line);
    match (command, place) {
        (Some(command), _) => text = format!("{text} (in: {})", crate::text::printable(command, 100)),
        (None, Some(line)) if numbered == Lines::OfTheDump => text = format!("{text} (line {line} of the dump)"),
        (None, _) => {}
    }
    if text.contains("syntax error at or near") {
        text.push_str(
            "; a name in it may have become a reserved word since: dump again with pg_dump --quote-all-identifiers",
        );
    }
    if text.contains("out of shared memory") {
        text.push_str("; with --recreate the import needs no single transaction and far fewer locks");
    }
    crate::text::printable(&text, 700)
}

#[cfg(test)]
mod tests {
    use super::{Lines, reason};

    #[test]
    fn the_cause_is_found_in_what_a_program_says() {
        assert_eq!(
            reason(
                "pg_restore: while PROCESSING TOC:\npg_restore: from TOC entry 215; 1259 16390 VIEW v postgres\n\
                    pg_restore: error: could not execute query: ERROR:  column \"x\" does not exist\nLINE 1: …\nCommand was: CREATE VIEW v AS\n SELECT x;",
                Lines::Unknown
            ),
            "ERROR:  column \"x\" does not exist (in: CREATE VIEW v AS)"
        );
        assert_eq!(
            reason("psql:<stdin>:12: ERROR:  relation \"t\" already exists\n", Lines::OfTheDump),
            "ERROR:  relation \"t\" already exists (line 12 of the dump)"
        );
        assert_eq!(
            reason("pg_dump: error: aborting because of server version mismatch\n", Lines::Unknown),
            "pg_dump: error: aborting because of server version mismatch"
        );
        assert_eq!(reason("", Lines::Unknown), "it gave no reason");
    }
}
