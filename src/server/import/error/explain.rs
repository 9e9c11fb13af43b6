//! Explains the errors of Postgres programs by the error catalog.

use super::catalog::{BROAD_CODES, CATALOG, CatalogEntry, SEARCH_PATH};
use super::source_catalog::{NextRead, SOURCE_CATALOG};
use crate::wire::{ErrorClass, ImportError};

/// Where in a dump an error occurred.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ErrorLocation {
    /// Kind of the object in pg_dump's terms (`TABLE DATA`).
    pub(crate) kind: Option<String>,
    /// The entry of the archive.
    pub(crate) entry: Option<String>,
    /// The line of a plain dump, counted from 1.
    pub(crate) line: Option<u64>,
}

/// Explains the error of a program from its standard error: the first error of the server, or else
/// the last line.
pub(crate) fn explain_error(stderr: &str, location: &ErrorLocation) -> ImportError {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at = lines.iter().position(|line| line.contains("ERROR:") || line.contains("FATAL:"));
    let (code, message) = at.map_or_else(|| (None, last_message(&lines)), |at| message(&lines[at..]));
    let entry = location.entry.clone().or_else(|| entry_of(&lines[..at.unwrap_or(0)]));
    let kind = location.kind.clone().or_else(|| entry.as_deref().and_then(kind_of).map(str::to_owned));
    let known = CATALOG.iter().filter(|known| code.as_deref().is_none_or(|code| code == known.sqlstate));
    // If no pattern matches, a code is used only if it has one meaning.
    let known = known.clone().find(|known| known.matches(&message)).or_else(|| {
        let same = known.clone().count() == 1 && code.is_some();
        known.clone().next().filter(|known| same && !BROAD_CODES.contains(&known.sqlstate))
    });
    let sqlstate = code.or_else(|| known.map(|known| known.sqlstate.to_owned()));
    let known = known.map(|known| if is_search_path(known, kind.as_deref()) { &SEARCH_PATH } else { known });
    ImportError {
        class: class(sqlstate.as_deref(), kind.as_deref()),
        entry: entry.map(|entry| crate::util::format::printable(&entry, 300)),
        line: location.line,
        ..explained(sqlstate, &message, known)
    }
}

/// Whether a missing name is one that a function of an index or view looks up by the search path, which is
/// empty when these are built.
fn is_search_path(known: &CatalogEntry, kind: Option<&str>) -> bool {
    let kind = kind.unwrap_or_default();
    let is_built = ["INDEX", "MATERIALIZED VIEW DATA", "CHECK CONSTRAINT"].iter().any(|built| kind.starts_with(built));
    is_built && ["42P01", "42883", "42704"].contains(&known.sqlstate)
}

fn explained(sqlstate: Option<String>, message: &str, known: Option<&CatalogEntry>) -> ImportError {
    ImportError {
        class: ErrorClass::Fatal,
        sqlstate,
        entry: None,
        line: None,
        message: crate::util::format::printable(message, 700),
        cause: known.map(|known| known.cause.to_owned()),
        fix: known.map(|known| known.fix.to_owned()),
    }
}

/// Explains the error of a `pg_dump` that read a live source, and says whether to read again.
pub(crate) fn explain_source_error(stderr: &str) -> (ImportError, NextRead) {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The first error of the server is the cause; of several connections, the others fail after it.
    let is_error = |line: &&str| {
        ["ERROR:", "FATAL:", "could not obtain lock"].iter().any(|word| line.contains(word))
            && !line.contains("a worker process died")
    };
    let text = match lines.iter().position(is_error) {
        Some(at) if lines[at].contains("could not obtain lock") => {
            lines[at].strip_prefix("pg_dump: error: ").unwrap_or(lines[at]).to_owned()
        }
        Some(at) => message(&lines[at..]).1,
        None => last_message(&lines),
    };
    let known = SOURCE_CATALOG
        .iter()
        .find(|known| known.entry.matches(&text) || lines.iter().any(|line| known.entry.matches(line)));
    let text = match lines.iter().find_map(|line| read_object(line)) {
        Some(object) => format!("{text} (in: {})", crate::util::format::printable(object, 200)),
        None => text,
    };
    let sqlstate = known.map(|known| known.entry.sqlstate.to_owned());
    (explained(sqlstate, &text, known.map(|known| &known.entry)), known.map_or(NextRead::Stop, |known| known.next))
}

/// The statement in `pg_dump: detail: Command was: COPY public.t …`, if it names what was read.
fn read_object(line: &str) -> Option<&str> {
    let (_, statement) = line.split_once(" was: ").filter(|(before, _)| before.starts_with("pg_dump: "))?;
    ["COPY ", "LOCK ", "SELECT last_value", "DECLARE "]
        .iter()
        .any(|word| statement.starts_with(word))
        .then_some(statement)
}

/// The message of a program that failed without a server error: a line about a lost connection, or
/// else the last line.
fn last_message(lines: &[&str]) -> String {
    let lost = |line: &&&str| CATALOG.iter().any(|known| known.sqlstate == "08006" && known.matches(line));
    let line = lines.iter().find(lost).or(lines.last()).copied().unwrap_or("no error message");
    let line = line.split_once("<stdin>:").and_then(|(_, rest)| rest.split_once(": ")).map_or(line, |(_, rest)| rest);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Code and message of an error that begins on the first of these lines.
fn message(lines: &[&str]) -> (Option<String>, String) {
    let first = lines[0];
    let from = first.find("ERROR:").or_else(|| first.find("FATAL:")).unwrap_or(0);
    let (severity, rest) = first[from..].split_once(':').unwrap_or(("ERROR", first));
    let rest = rest.trim_start();
    // psql prints the code if VERBOSITY is verbose (psql, "Variables").
    let (code, rest) = match rest.split_once(": ") {
        Some((code, rest)) if is_code(code) => (Some(code.to_owned()), rest),
        _ => (None, rest),
    };
    let mut text = format!("{severity}: {rest}");
    for line in lines[1..].iter().take(3).filter(|line| line.starts_with("DETAIL:") || line.starts_with("HINT:")) {
        let (word, rest) = line.split_once(':').unwrap_or(("", line));
        text = format!("{text}; {}: {}", word.to_ascii_lowercase(), rest.trim());
    }
    // pg_restore prints the statement after the error.
    if let Some(command) = lines.iter().find_map(|line| line.strip_prefix("Command was: ")) {
        text = format!("{text} (in: {})", crate::util::format::printable(command, 100));
    }
    (code, text)
}

fn is_code(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The entry in `pg_restore: from TOC entry 215; 1259 16390 VIEW v postgres`, before the error.
fn entry_of(lines: &[&str]) -> Option<String> {
    lines.iter().rev().find_map(|line| line.split_once("from TOC entry ")).map(|(_, entry)| entry.to_owned())
}

/// The kind in `215; 1259 16390 TABLE DATA public t postgres`: the uppercase words.
fn kind_of(entry: &str) -> Option<&str> {
    let rest = entry.splitn(4, ' ').nth(3)?;
    let words =
        rest.split(' ').take_while(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()) && !word.is_empty());
    let length = words.map(|word| word.len() + 1).sum::<usize>();
    rest.get(..length.checked_sub(1)?)
}

/// Classes of codes that end an import: connection, transaction, resources, operator intervention,
/// system, internal, authorization.
const FATAL_CLASSES: [&str; 8] = ["08", "25", "2D", "53", "57", "58", "XX", "28"];

/// Kinds of objects that applications do not need.
const HARMLESS: [&str; 6] = ["COMMENT", "ACL", "DEFAULT ACL", "EXTENSION", "SECURITY LABEL", "STATISTICS DATA"];
/// Kinds of objects without which rows are missing.
const WITH_ROWS: [&str; 6] = ["TABLE", "BLOB", "BLOBS", "SCHEMA", "TYPE", "DOMAIN"];

fn class(sqlstate: Option<&str>, kind: Option<&str>) -> ErrorClass {
    if sqlstate.is_some_and(|code| FATAL_CLASSES.iter().any(|class| code.starts_with(class))) {
        return ErrorClass::Fatal;
    }
    let Some(kind) = kind else { return ErrorClass::Fatal };
    // An uppercase schema name may follow the kind.
    let is = |known: &&str| kind.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    if HARMLESS.iter().any(is) {
        return ErrorClass::Harmless;
    }
    if WITH_ROWS.iter().any(is) { ErrorClass::DataLost } else { ErrorClass::Degraded }
}

/// Whether the same import may succeed later.
pub(crate) fn is_transient(error: &ImportError) -> bool {
    let code = error.sqlstate.as_deref().unwrap_or_default();
    // A retry needs the same locks, and exceeds the same plan limit.
    let same = code == "53400" || code == "53200" && error.message.contains("shared memory");
    !same && (["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) || code == "55P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(stderr: &str) -> ImportError {
        explain_error(stderr, &ErrorLocation::default())
    }

    #[test]
    fn pg_restore_errors_are_explained() {
        let error = explain(
            "pg_restore: while PROCESSING TOC:\npg_restore: from TOC entry 215; 1259 16390 VIEW v postgres\n\
             pg_restore: error: could not execute query: ERROR:  relation \"public.x\" does not exist\nLINE 1: …\nCommand was: CREATE VIEW v AS\n SELECT x;",
        );
        assert_eq!(error.message, "ERROR: relation \"public.x\" does not exist (in: CREATE VIEW v AS)");
        assert_eq!((error.sqlstate.as_deref(), error.class), (Some("42P01"), ErrorClass::Degraded));
        assert_eq!(error.entry.as_deref(), Some("215; 1259 16390 VIEW v postgres"));
        assert!(error.fix.is_some_and(|fix| fix.contains("whole database")));
    }

    #[test]
    fn names_that_an_index_or_view_misses_are_looked_up_by_the_search_path() {
        let of = |kind: &str, message: &str| {
            let location = ErrorLocation { kind: Some(kind.into()), ..ErrorLocation::default() };
            explain_error(&format!("pg_restore: error: could not execute query: ERROR:  {message}"), &location)
        };
        for (kind, message) in [
            ("INDEX", "function norm(text) does not exist"),
            ("MATERIALIZED VIEW DATA", "relation \"docs\" does not exist"),
        ] {
            let fix = of(kind, message).fix.expect("a fix");
            assert!(fix.starts_with("on the source: ALTER FUNCTION"), "{kind}: {fix}");
        }
        assert!(of("VIEW", "relation \"docs\" does not exist").fix.is_some_and(|fix| fix.contains("whole database")));
    }

    #[test]
    fn psql_errors_keep_their_sqlstate_and_line() {
        let location = ErrorLocation { kind: Some("TABLE".into()), line: Some(12), entry: None };
        let error = explain_error("psql:<stdin>:12: ERROR:  42P07: relation \"t\" already exists\n", &location);
        assert_eq!(error.message, "ERROR: relation \"t\" already exists");
        assert_eq!((error.sqlstate.as_deref(), error.line), (Some("42P07"), Some(12)));
        assert_eq!(error.class, ErrorClass::DataLost);
        assert!(error.fix.is_some_and(|fix| fix.contains("--recreate")));
    }

    #[test]
    fn an_unknown_sqlstate_is_still_reported() {
        let error = explain("psql:<stdin>:1: ERROR:  21000: more than one row returned\nDETAIL:  x\n");
        assert_eq!((error.sqlstate.as_deref(), error.cause), (Some("21000"), None));
        assert_eq!(error.message, "ERROR: more than one row returned; detail: x");
        assert_eq!(explain("pg_dump: error: aborting").message, "pg_dump: error: aborting");
        assert_eq!(explain("").message, "no error message");
    }

    #[test]
    fn lost_connections_and_full_disks_are_transient() {
        for text in [
            "psql: error: connection to server at \"127.0.0.1\" failed: FATAL:  the database system is shutting down",
            "pg_dump: error: server closed the connection unexpectedly",
            "psql:<stdin>:9: FATAL:  57P01: terminating connection due to administrator command",
            "ERROR:  53100: could not extend file: No space left on device",
        ] {
            assert!(is_transient(&explain(text)), "{text}");
            assert_eq!(explain(text).class, ErrorClass::Fatal, "{text}");
        }
        assert!(!is_transient(&explain("ERROR:  53200: out of shared memory")));
        assert!(!is_transient(&explain("ERROR:  42P07: relation \"t\" already exists")));
    }

    #[test]
    fn errors_of_a_source_name_its_object_and_its_side() {
        let (error, next) = explain_source_error(
            "pg_dump: error: Dumping the contents of table \"b\" failed: PQgetResult() failed.\n\
             pg_dump: detail: Error message from server: ERROR:  invalid memory alloc request size 1258291203\n\
             pg_dump: detail: Command was: COPY \"public\".\"b\" (\"id\", \"d\") TO stdout;",
        );
        assert_eq!(error.sqlstate.as_deref(), Some("54000"));
        assert!(error.message.ends_with("(in: COPY \"public\".\"b\" (\"id\", \"d\") TO stdout;)"), "{}", error.message);
        assert_eq!(next, NextRead::Stop);
        for (stderr, code, next) in [
            (
                "pg_dump: error: could not obtain lock on relation \"public.p8\"\nThis usually means…\npg_dump: error: a worker process died unexpectedly",
                "55P03",
                NextRead::OneConnection,
            ),
            (
                "pg_dump: error: connection to server at \"127.0.0.1\", port 1 failed: FATAL:  too many connections for role \"lim2\"",
                "53300",
                NextRead::OneConnection,
            ),
            (
                "pg_dump: error: query failed: ERROR:  permission denied for table secret\npg_dump: detail: Query was: LOCK TABLE public.secret IN ACCESS SHARE MODE",
                "42501",
                NextRead::Stop,
            ),
            ("pg_dump: error: query failed: ERROR:  relation \"public.x\" does not exist", "42P01", NextRead::Again),
            (
                "pg_dump: error: query failed: FATAL:  terminating connection due to administrator command\nserver closed the connection unexpectedly",
                "57P01",
                NextRead::Again,
            ),
            ("pg_dump: error: query failed: server closed the connection unexpectedly", "08006", NextRead::Again),
            (
                "pg_dump: error: query failed: ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
                "53200",
                NextRead::Stop,
            ),
            (
                "pg_dump: error: connection to server at \"h\" failed: FATAL:  the database system is starting up",
                "57P03",
                NextRead::Again,
            ),
        ] {
            let (error, found) = explain_source_error(stderr);
            assert_eq!((error.sqlstate.as_deref(), found), (Some(code), next), "{stderr}");
            assert!(error.cause.is_some() && error.fix.is_some());
        }
        let (error, next) = explain_source_error("pg_dump: error: something new");
        assert_eq!(
            (error.message.as_str(), error.cause, next),
            ("pg_dump: error: something new", None, NextRead::Stop)
        );
    }

    #[test]
    fn the_kind_is_parsed_from_a_toc_entry() {
        assert_eq!(kind_of("215; 1259 16390 TABLE DATA public t postgres"), Some("TABLE DATA"));
        assert_eq!(kind_of("3; 0 0 COMMENT - x"), Some("COMMENT"));
        assert_eq!(kind_of("nonsense"), None);
    }
}
