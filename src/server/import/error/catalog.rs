//! What an error of the server means, in words for the person who asked for the import.

use crate::wire::{ErrorClass, ImportError};

/// An error that is known, by its code or, where a program does not tell the code, by words
/// of its message (they are those of an English server).
struct CatalogEntry {
    sqlstate: &'static str,
    /// Any of these; `…` stands for whatever is between two parts.
    words: &'static [&'static str],
    cause: &'static str,
    fix: &'static str,
}

const REPLACE: &str = "import with --recreate to replace the target's contents, or drop the object there first";
const WHOLE: &str = "dump the whole database, without --table, --schema or --exclude options";
const FIX_ROWS: &str = "mend the rows in the source, then dump again";
const AGAIN: &str = "run the import again";

/// Postgres, "Error Codes". Where words of one are words of another, the special one is first.
const CATALOG: &[CatalogEntry] = &[
    known("42P06", &["schema \"…already exists"], "the target has a schema of this name", REPLACE),
    known("42723", &["function \"…already exists"], "the target has a function of this name", REPLACE),
    known("42P07", &["relation \"…already exists"], "the target has a table, view or index of this name", REPLACE),
    known("42710", &["already exists"], "the target has an object of this name", REPLACE),
    known("42703", &["column …does not exist"], "it uses a column that is not there", WHOLE),
    known(
        "42883",
        &["function …does not exist"],
        "it uses a function that is not there: an extension lacks, or this version of Postgres has dropped it",
        "replace the use of it in the source, then dump again",
    ),
    known(
        "42883",
        &["operator does not exist"],
        "it uses an operator that is not there: an extension lacks",
        "dump with the extension that brings it",
    ),
    known("3F000", &["schema …does not exist"], "the dump does not make the schema that it uses", WHOLE),
    known(
        "42704",
        &["type \"…does not exist"],
        "it uses a type that is not there: an extension lacks, or the dump is a part",
        WHOLE,
    ),
    known(
        "42704",
        &["role \"…does not exist"],
        "it names a role that the target does not have",
        "dump with --no-owner --no-privileges",
    ),
    known(
        "42P01",
        &["relation \"…does not exist"],
        "it needs a table or view that is not there: the dump is a part, or the object refers to itself",
        WHOLE,
    ),
    known("42704", &["does not exist"], "it needs an object that is not there", WHOLE),
    known(
        "42601",
        &["syntax error", "zero-length delimited identifier"],
        "a name in it may have become a reserved word since, or a newer Postgres wrote it",
        "dump again with pg_dump --quote-all-identifiers",
    ),
    known(
        "42501",
        &["permission denied"],
        "the role may not do this; imports run as the project's own role, never as superuser",
        "leave the object out of the dump, or grant the role what it needs",
    ),
    known(
        "42501",
        &["must be superuser"],
        "only a superuser may do this, and imports never run as one",
        "leave the object out of the dump",
    ),
    known(
        "42501",
        &["must be owner"],
        "the object belongs to another role",
        "dump with --no-owner, or leave the object out of the dump",
    ),
    known(
        "23505",
        &["duplicate key value"],
        "two rows have the same key: the target has rows already, or an index of the source is damaged",
        "import with --recreate; if the source has both rows, remove one there",
    ),
    known(
        "23505",
        &["could not create unique index"],
        "two rows have the same key, which a damaged index of the source has let in",
        "find them in the source without the index (set enable_indexscan = off), remove one, dump again",
    ),
    known(
        "23503",
        &["violates foreign key"],
        "a row points to one that is not there: the dump is a part, or a constraint of the source was never checked",
        FIX_ROWS,
    ),
    known(
        "23502",
        &["violates not-null", "contains null values"],
        "a row lacks a value that the table demands",
        FIX_ROWS,
    ),
    known(
        "23514",
        &["violates check constraint", "is violated by some row"],
        "a row breaks a rule of its table: a function in the rule may see other data than in the source",
        FIX_ROWS,
    ),
    known(
        "22021",
        &["invalid byte sequence"],
        "the text is not in the encoding that the dump says it is",
        "dump with pg_dump --encoding=UTF8",
    ),
    known("22P02", &["invalid input syntax"], "a value does not fit the type of its column", FIX_ROWS),
    known("22001", &["value too long"], "a value is longer than its column allows", FIX_ROWS),
    known(
        "22P04",
        &["extra data after last", "missing data for column"],
        "the rows do not fit the columns: the dump was changed or cut",
        "make a new dump",
    ),
    known(
        "58P01",
        &["could not access file"],
        "it needs a library that the target does not have",
        "leave the object out of the dump",
    ),
    known(
        "0A000",
        &["extension \"…is not available"],
        "the target does not have the extension",
        "leave it out of the dump: pg_dump --extension chooses those that go in",
    ),
    known(
        "53100",
        &["No space left on device"],
        "the disk of the target or of the worker is full",
        "free space, or move to a larger plan, then run the import again",
    ),
    known("53200", &["out of memory"], "the server is short of memory", AGAIN),
    known(
        "53400",
        &["of the plan"],
        "the restored database is larger than the plan allows",
        "move to a larger plan, or leave tables out of the dump",
    ),
    known(
        "53200",
        &["out of shared memory"],
        "one transaction cannot hold locks on so many objects",
        "import with --recreate: it needs no single transaction and far fewer locks",
    ),
    known(
        "53300",
        &["too many connections", "remaining connection slots"],
        "the application holds all connections that the project may have",
        "stop the application for the time of the import, then run it again",
    ),
    known(
        "40P01",
        &["deadlock detected"],
        "the application and the import waited for each other",
        "stop the application for the time of the import, then run it again",
    ),
    known(
        "55P03",
        &["lock timeout"],
        "somebody holds a lock on what the import needs",
        "end long transactions, then run the import again",
    ),
    known(
        "57014",
        &["canceling statement"],
        "the statement took longer than its server allows, or somebody ended it",
        AGAIN,
    ),
    known("57P01", &["terminating connection due to administrator"], "somebody ended the connection", AGAIN),
    known("57P03", &["the database system is"], "the server is starting or stopping", AGAIN),
    known(
        "08006",
        &["server closed the connection", "connection to server", "could not connect", "SSL SYSCALL"],
        "the connection was lost",
        AGAIN,
    ),
    known(
        "2D000",
        &["invalid transaction termination"],
        "the dump tries to end the transaction that it is part of",
        "take BEGIN and COMMIT out of its functions and DO blocks",
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
    fn speaks(&self, message: &str) -> bool {
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

/// Codes that stand for much more than is known here.
const BROAD: [&str; 3] = ["0A000", "53200", "58P01"];

/// Where an error happened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ErrorLocation {
    /// Kind of the object, as pg_dump calls it (`TABLE DATA`).
    pub(crate) kind: Option<String>,
    /// The archive's entry.
    pub(crate) entry: Option<String>,
    /// The line of the plain dump.
    pub(crate) line: Option<u64>,
}

/// The error of a program, from what it wrote to standard error: the first error of the
/// server, or else the last thing that it said.
pub(crate) fn explain_error(stderr: &str, location: &ErrorLocation) -> ImportError {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at = lines.iter().position(|line| line.contains("ERROR:") || line.contains("FATAL:"));
    let (code, message) = at.map_or_else(|| (None, last_words(&lines)), |at| message(&lines[at..]));
    let entry = location.entry.clone().or_else(|| entry_of(&lines[..at.unwrap_or(0)]));
    let kind = location.kind.clone().or_else(|| entry.as_deref().and_then(kind_of).map(str::to_owned));
    let known = CATALOG.iter().filter(|known| code.as_deref().is_none_or(|code| code == known.sqlstate));
    // A code may mean several things; where none of the words fits, nothing is claimed.
    let known = known.clone().find(|known| known.speaks(&message)).or_else(|| {
        let same = known.clone().count() == 1 && code.is_some();
        known.clone().next().filter(|known| same && !BROAD.contains(&known.sqlstate))
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

/// What a program said of an end that no server has explained: a line that tells of a lost
/// connection, or else the last one.
fn last_words(lines: &[&str]) -> String {
    let lost = |line: &&&str| CATALOG.iter().any(|known| known.sqlstate == "08006" && known.speaks(line));
    let line = lines.iter().find(lost).or(lines.last()).copied().unwrap_or("it gave no reason");
    let line = line.split_once("<stdin>:").and_then(|(_, rest)| rest.split_once(": ")).map_or(line, |(_, rest)| rest);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Code and text of an error that begins on the first of these lines.
fn message(lines: &[&str]) -> (Option<String>, String) {
    let first = lines[0];
    let from = first.find("ERROR:").or_else(|| first.find("FATAL:")).unwrap_or(0);
    let (severity, rest) = first[from..].split_once(':').unwrap_or(("ERROR", first));
    let rest = rest.trim_start();
    // psql tells the code when it is asked to (psql, VERBOSITY).
    let (code, rest) = match rest.split_once(": ") {
        Some((code, rest)) if is_code(code) => (Some(code.to_owned()), rest),
        _ => (None, rest),
    };
    let mut text = format!("{severity}: {rest}");
    for line in lines[1..].iter().take(3).filter(|line| line.starts_with("DETAIL:") || line.starts_with("HINT:")) {
        let (word, rest) = line.split_once(':').unwrap_or(("", line));
        text = format!("{text}; {}: {}", word.to_ascii_lowercase(), rest.trim());
    }
    // pg_restore quotes the statement after the error.
    if let Some(command) = lines.iter().find_map(|line| line.strip_prefix("Command was: ")) {
        text = format!("{text} (in: {})", crate::util::format::printable(command, 100));
    }
    (code, text)
}

fn is_code(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// `pg_restore: from TOC entry 215; 1259 16390 VIEW v postgres`, before the error.
fn entry_of(lines: &[&str]) -> Option<String> {
    lines.iter().rev().find_map(|line| line.split_once("from TOC entry ")).map(|(_, entry)| entry.to_owned())
}

/// The kind in `215; 1259 16390 TABLE DATA public t postgres`: its words in capitals.
fn kind_of(entry: &str) -> Option<&str> {
    let rest = entry.splitn(4, ' ').nth(3)?;
    let words =
        rest.split(' ').take_while(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()) && !word.is_empty());
    let length = words.map(|word| word.len() + 1).sum::<usize>();
    rest.get(..length.checked_sub(1)?)
}

/// Code classes after which nothing can go on: connection, transaction, resources, operator,
/// system, internal.
const FATAL: [&str; 8] = ["08", "25", "2D", "53", "57", "58", "XX", "28"];

/// Kinds of objects that no application misses.
const HARMLESS: [&str; 6] = ["COMMENT", "ACL", "DEFAULT ACL", "EXTENSION", "SECURITY LABEL", "STATISTICS DATA"];
/// Kinds of objects without which rows are missing.
const WITH_ROWS: [&str; 6] = ["TABLE", "BLOB", "BLOBS", "SCHEMA", "TYPE", "DOMAIN"];

fn class(sqlstate: Option<&str>, kind: Option<&str>) -> ErrorClass {
    if sqlstate.is_some_and(|code| FATAL.iter().any(|class| code.starts_with(class))) {
        return ErrorClass::Fatal;
    }
    let Some(kind) = kind else { return ErrorClass::Fatal };
    // A schema in capitals may stand behind the kind.
    let is = |known: &&str| kind.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    if HARMLESS.iter().any(is) {
        return ErrorClass::Harmless;
    }
    if WITH_ROWS.iter().any(is) { ErrorClass::DataLost } else { ErrorClass::Degraded }
}

/// Whether the same import may work later.
pub(crate) fn is_transient(error: &ImportError) -> bool {
    let code = error.sqlstate.as_deref().unwrap_or_default();
    // The same objects need the same locks, and the plan stays what it is.
    let same = code == "53400" || code == "53200" && error.message.contains("shared memory");
    !same && (["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) || code == "55P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str) -> ImportError {
        explain_error(stderr, &ErrorLocation::default())
    }

    #[test]
    fn an_error_of_pg_restore_is_understood() {
        let error = of(
            "pg_restore: while PROCESSING TOC:\npg_restore: from TOC entry 215; 1259 16390 VIEW v postgres\n\
             pg_restore: error: could not execute query: ERROR:  relation \"public.x\" does not exist\nLINE 1: …\nCommand was: CREATE VIEW v AS\n SELECT x;",
        );
        assert_eq!(error.message, "ERROR: relation \"public.x\" does not exist (in: CREATE VIEW v AS)");
        assert_eq!((error.sqlstate.as_deref(), error.class), (Some("42P01"), ErrorClass::Degraded));
        assert_eq!(error.entry.as_deref(), Some("215; 1259 16390 VIEW v postgres"));
        assert!(error.fix.is_some_and(|fix| fix.contains("whole database")));
    }

    #[test]
    fn an_error_of_psql_brings_its_code() {
        let location = ErrorLocation { kind: Some("TABLE".into()), line: Some(12), entry: None };
        let error = explain_error("psql:<stdin>:12: ERROR:  42P07: relation \"t\" already exists\n", &location);
        assert_eq!(error.message, "ERROR: relation \"t\" already exists");
        assert_eq!((error.sqlstate.as_deref(), error.line), (Some("42P07"), Some(12)));
        assert_eq!(error.class, ErrorClass::DataLost);
        assert!(error.fix.is_some_and(|fix| fix.contains("--recreate")));
    }

    #[test]
    fn an_unknown_code_is_still_told() {
        let error = of("psql:<stdin>:1: ERROR:  21000: more than one row returned\nDETAIL:  x\n");
        assert_eq!((error.sqlstate.as_deref(), error.cause), (Some("21000"), None));
        assert_eq!(error.message, "ERROR: more than one row returned; detail: x");
        assert_eq!(of("pg_dump: error: aborting").message, "pg_dump: error: aborting");
        assert_eq!(of("").message, "it gave no reason");
    }

    #[test]
    fn a_lost_connection_may_come_back() {
        for text in [
            "psql: error: connection to server at \"127.0.0.1\" failed: FATAL:  the database system is shutting down",
            "pg_dump: error: server closed the connection unexpectedly",
            "psql:<stdin>:9: FATAL:  57P01: terminating connection due to administrator command",
            "ERROR:  53100: could not extend file: No space left on device",
        ] {
            assert!(is_transient(&of(text)), "{text}");
            assert_eq!(of(text).class, ErrorClass::Fatal, "{text}");
        }
        assert!(!is_transient(&of("ERROR:  53200: out of shared memory")));
        assert!(!is_transient(&of("ERROR:  42P07: relation \"t\" already exists")));
    }

    #[test]
    fn the_kind_is_read_from_an_entry() {
        assert_eq!(kind_of("215; 1259 16390 TABLE DATA public t postgres"), Some("TABLE DATA"));
        assert_eq!(kind_of("3; 0 0 COMMENT - x"), Some("COMMENT"));
        assert_eq!(kind_of("nonsense"), None);
    }
}
