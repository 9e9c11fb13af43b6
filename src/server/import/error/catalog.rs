//! Error catalog: the cause and the fix of known Postgres errors, for users.

use crate::wire::{ErrorClass, ImportError};

/// A known error, matched by its SQLSTATE or, if a program does not report that, by parts of its
/// message, which must be English.
struct CatalogEntry {
    sqlstate: &'static str,
    /// Patterns for the message, of which one must match; `…` matches any text.
    words: &'static [&'static str],
    cause: &'static str,
    fix: &'static str,
}

const REPLACE: &str = "import with --recreate to replace the target's contents, or drop the object there first";
const DUMP_ALL: &str = "dump the whole database, without --table, --schema or --exclude options";
const FIX_ROWS: &str = "fix the rows in the source, then dump again";
const RETRY: &str = "run the import again";

/// Postgres, "Error Codes". Where patterns overlap, the more specific entry is first.
const CATALOG: &[CatalogEntry] = &[
    known("42P06", &["schema \"…already exists"], "the target already has a schema of this name", REPLACE),
    known("42723", &["function \"…already exists"], "the target already has a function of this name", REPLACE),
    known(
        "42P07",
        &["relation \"…already exists"],
        "the target already has a table, view or index of this name",
        REPLACE,
    ),
    known("42710", &["already exists"], "the target already has an object of this name", REPLACE),
    known(
        "42703",
        &["column …does not exist"],
        "a column is missing: the dump is partial, or this version of Postgres has changed a system view",
        "dump the whole database; if a view of the source uses pg_stat_* columns, drop it first",
    ),
    known(
        "42883",
        &["function …does not exist"],
        "the dump is partial, an extension is missing, or a function names another without its schema",
        "dump the whole database; or in the source: ALTER FUNCTION … SET search_path = public, pg_temp",
    ),
    known(
        "42883",
        &["operator does not exist"],
        "the extension that defines the operator is missing",
        "include the extension in the dump",
    ),
    known("3F000", &["schema …does not exist"], "the dump uses a schema that it does not create", DUMP_ALL),
    known("42704", &["type \"…does not exist"], "an extension is missing, or the dump is partial", DUMP_ALL),
    known(
        "42704",
        &["role \"…does not exist"],
        "the dump names a role that the target does not have",
        "dump with --no-owner --no-privileges",
    ),
    known(
        "42P01",
        &["relation \"…does not exist"],
        "a table or view is missing: the dump is partial, or a function names it without its schema",
        "dump the whole database; or in the source: ALTER FUNCTION … SET search_path = public, pg_temp",
    ),
    known("42704", &["does not exist"], "a required object is missing: the dump is partial", DUMP_ALL),
    known(
        "42601",
        &["syntax error", "zero-length delimited identifier"],
        "the statement is not valid in this version: a reserved word, another database's SQL, or a typo",
        "correct the statement; for a dump of pg_dump, dump again with --quote-all-identifiers",
    ),
    known(
        "42501",
        &["permission denied"],
        "imports run as the project's own role, which does not have this permission",
        "exclude the object from the dump, or grant the permission to the project's role",
    ),
    known(
        "42501",
        &["must be superuser"],
        "the statement requires a superuser, but imports run as the project's own role",
        "exclude the object from the dump",
    ),
    known(
        "42501",
        &["must be owner"],
        "the object belongs to another role",
        "dump with --no-owner, or exclude the object from the dump",
    ),
    known(
        "23505",
        &["duplicate key value"],
        "two rows have the same key: the target already has rows, or an index of the source is corrupt",
        "import with --recreate; if the source has both rows, delete one there",
    ),
    known(
        "23505",
        &["could not create unique index"],
        "two rows have the same key; in a live database, this means that an index is corrupt",
        "delete one of the rows in the source (set enable_indexscan = off finds both), then dump again",
    ),
    known(
        "23503",
        &["loaded with foreign keys off"],
        "the dump turns foreign keys off while rows load, and some of these rows reference missing rows",
        "delete these rows in the source or add what they reference, then dump again",
    ),
    known(
        "23503",
        &["violates foreign key"],
        "a row references a missing row: the dump is partial, or the source never validated the constraint",
        FIX_ROWS,
    ),
    known(
        "23502",
        &["violates not-null", "contains null values"],
        "a row has no value in a column that requires one",
        FIX_ROWS,
    ),
    known(
        "23514",
        &["violates check constraint", "is violated by some row"],
        "a row violates a check constraint; if it calls a function, that may need rows that are not yet loaded",
        "fix the row; or drop the constraint before the dump, and add it again after the import",
    ),
    known(
        "22021",
        &["invalid byte sequence"],
        "the text is not in the encoding that the dump declares",
        "fix the row in the source; for a SQL_ASCII source: pg_dump --encoding=LATIN1 (or WIN1252, …)",
    ),
    known(
        "22P05",
        &["has no equivalent in encoding"],
        "a character does not exist in the encoding of the target",
        "fix the row in the source, or declare the encoding that the text really has",
    ),
    known(
        "428C9",
        &["cannot insert a non-DEFAULT value"],
        "the dump sets the value of a GENERATED ALWAYS column",
        "dump with pg_dump, which writes OVERRIDING SYSTEM VALUE",
    ),
    known(
        "25001",
        &["cannot run inside a transaction block", "cannot be executed from a function"],
        "the statement cannot run in the transaction of the import",
        "remove the statement and run it after the import",
    ),
    known("22P02", &["invalid input syntax"], "a value is not valid for the type of its column", FIX_ROWS),
    known("22001", &["value too long"], "a value exceeds the length limit of its column", FIX_ROWS),
    known(
        "22P04",
        &["extra data after last", "missing data for column"],
        "the rows do not match the columns: the dump was edited or truncated",
        "create a new dump",
    ),
    known(
        "58P01",
        &["could not access file"],
        "the object needs a library that the target does not have",
        "exclude the object from the dump",
    ),
    known(
        "0A000",
        &["extension \"…is not available"],
        "the target does not have the extension",
        "exclude it: pg_dump --exclude-extension=NAME (17 and later)",
    ),
    known(
        "53100",
        &["No space left on device"],
        "the disk of the target or of the worker is full",
        "free disk space or upgrade the plan, then run the import again",
    ),
    known("53200", &["out of memory"], "the server ran out of memory", RETRY),
    known(
        "53400",
        &["plan limit"],
        "the restored database exceeds the plan limit",
        "upgrade the plan, or exclude tables from the dump",
    ),
    known(
        "53200",
        &["out of shared memory"],
        "the transaction needs more locks than the server can hold",
        "import with --recreate, which commits in batches and needs fewer locks",
    ),
    known(
        "53300",
        &["too many connections", "remaining connection slots"],
        "the application uses all connections of the project",
        "stop the application during the import, then run the import again",
    ),
    known(
        "40P01",
        &["deadlock detected"],
        "the application and the import waited for each other's locks",
        "stop the application during the import, then run the import again",
    ),
    known(
        "55P03",
        &["lock timeout"],
        "another session holds a lock that the import needs",
        "end long-running transactions, then run the import again",
    ),
    known("57014", &["canceling statement"], "the statement timed out or was cancelled", RETRY),
    known(
        "57P01",
        &["terminating connection due to administrator"],
        "an administrator terminated the connection",
        RETRY,
    ),
    known("57P03", &["the database system is"], "the server is starting up or shutting down", RETRY),
    known(
        "08006",
        &["server closed the connection", "connection to server", "could not connect", "SSL SYSCALL"],
        "the connection was lost",
        RETRY,
    ),
    known(
        "2D000",
        &["invalid transaction termination"],
        "a function or DO block of the dump ends the import transaction",
        "remove COMMIT and ROLLBACK from functions and DO blocks of the dump",
    ),
];

const fn known(
    sqlstate: &'static str,
    words: &'static [&'static str],
    cause: &'static str,
    fix: &'static str,
) -> CatalogEntry {
    CatalogEntry { sqlstate, words, cause, fix }
}

impl CatalogEntry {
    fn matches(&self, message: &str) -> bool {
        self.words.iter().any(|words| {
            let mut rest = message;
            words.split('…').all(|part| {
                let found = rest.find(part);
                rest = found.map_or(rest, |at| &rest[at + part.len()..]);
                found.is_some()
            })
        })
    }
}

/// Codes with many meanings besides the cataloged ones.
const BROAD_CODES: [&str; 3] = ["0A000", "53200", "58P01"];

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
    ImportError {
        class: class(sqlstate.as_deref(), kind.as_deref()),
        sqlstate,
        entry: entry.map(|entry| crate::util::format::printable(&entry, 300)),
        line: location.line,
        message: crate::util::format::printable(&message, 700),
        cause: known.map(|known| known.cause.to_owned()),
        fix: known.map(|known| known.fix.to_owned()),
    }
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
    fn the_kind_is_parsed_from_a_toc_entry() {
        assert_eq!(kind_of("215; 1259 16390 TABLE DATA public t postgres"), Some("TABLE DATA"));
        assert_eq!(kind_of("3; 0 0 COMMENT - x"), Some("COMMENT"));
        assert_eq!(kind_of("nonsense"), None);
    }
}
