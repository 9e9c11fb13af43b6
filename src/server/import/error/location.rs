//! Finds the location in a dump of an error that psql reports.

use super::explain::ErrorLocation;
use crate::dump::sql::{PieceKind, Script};
use crate::dump::statement::approximate_kind;
use crate::server::import::input::{Input, InputKind};
use crate::server::import::process::ExitedProcess;
use crate::server::import::script::ScriptObserver;
use std::fs::File;

/// The location of the first error that psql reports, from its line number.
pub(crate) fn locate(finished: &ExitedProcess, input: &Input, observer: &ScriptObserver) -> ErrorLocation {
    let line = line_of(&finished.stderr).filter(|line| !observer.is_after_script(*line));
    let Some(line) = line else { return ErrorLocation::default() };
    let heading = observer.heading(line).and_then(|heading| read_heading(&heading));
    let kind = heading.as_ref().map(|(kind, _)| kind.clone());
    match input.kind {
        // The line numbers refer to generated SQL, which the user does not have.
        InputKind::Archive => ErrorLocation { kind, entry: heading.map(|(_, entry)| entry), line: None },
        InputKind::Script => {
            let kind = kind.or_else(|| File::open(&input.path).ok().and_then(|file| kind_at(file, line)));
            ErrorLocation { kind, entry: heading.map(|(_, entry)| entry), line: Some(line) }
        }
    }
}

/// The line number in `psql:<stdin>:12: ERROR: …`.
fn line_of(stderr: &str) -> Option<u64> {
    let error = stderr.lines().find(|line| line.contains("ERROR:") || line.contains("FATAL:"))?;
    error.split_once("<stdin>:")?.1.split_once(':')?.0.parse().ok()
}

/// The kind and the entry in `Name: t; Type: TABLE DATA; Schema: public; Owner: -`.
fn read_heading(heading: &str) -> Option<(String, String)> {
    let (name, rest) = heading.strip_prefix("Name: ")?.split_once("; Type: ")?;
    let (kind, rest) = rest.split_once("; Schema: ")?;
    let schema = rest.split(';').next().unwrap_or_default();
    let location = if schema == "-" { String::new() } else { format!("{schema}.") };
    Some((kind.to_owned(), format!("{kind} {location}{name}")))
}

/// Kind of the object that the last statement up to a line creates. Reads the script again, so it is
/// only for failed scripts without headings.
fn kind_at(script: File, line: u64) -> Option<String> {
    let (mut script, mut found) = (Script::new(script), None);
    while let Ok(Some(piece)) = script.next_piece() {
        if !matches!(piece.kind, PieceKind::Statement | PieceKind::StatementStart | PieceKind::Inserts(_)) {
            continue;
        }
        if piece.line() > line {
            break;
        }
        found = Some(approximate_kind(&piece.statement()));
    }
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_parsed() {
        let parse = |heading: &str| read_heading(heading).map(|(kind, entry)| format!("{kind}|{entry}"));
        assert_eq!(
            parse("Name: t; Type: TABLE DATA; Schema: public; Owner: -").as_deref(),
            Some("TABLE DATA|TABLE DATA public.t")
        );
        assert_eq!(parse("Name: shop; Type: SCHEMA; Schema: -; Owner: x").as_deref(), Some("SCHEMA|SCHEMA shop"));
        assert_eq!(parse("Name: the customer"), None);
    }

    #[test]
    fn the_line_of_the_first_error_is_used() {
        assert_eq!(line_of("psql:<stdin>:3: NOTICE:  x\npsql:<stdin>:12: ERROR:  42P07: x\n"), Some(12));
        assert_eq!(line_of("psql: error: connection failed"), None);
    }
}
