//! Error catalog: the cause and the fix of known Postgres errors, for users.

/// A known error, matched by its SQLSTATE or, if a program does not report that, by parts of its
/// message, which must be English.
pub(super) struct CatalogEntry {
    pub(super) sqlstate: &'static str,
    /// Patterns for the message, of which one must match; `…` matches any text.
    words: &'static [&'static str],
    pub(super) cause: &'static str,
    pub(super) fix: &'static str,
}

const REPLACE: &str = "import with --recreate to replace the target's contents, or drop the object there first";
const DUMP_ALL: &str = "dump the whole database, without --table, --schema or --exclude options";
const FIX_ROWS: &str = "fix the rows in the source, then dump again";
const RETRY: &str = "run the import again";

/// A name that a function of an index or a materialized view looks up by the search path.
pub(super) const SEARCH_PATH: CatalogEntry = known(
    "42P01",
    &[],
    "a function that the index or view calls names this without a schema, and the search path is empty when it is built",
    "on the source: ALTER FUNCTION … SET search_path = public, pg_temp, for each such function; then import again",
);

/// Postgres, "Error Codes". Where patterns overlap, the more specific entry is first.
pub(super) const CATALOG: &[CatalogEntry] = &[
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
        "name the encoding that the text really has: --source-encoding WIN1252 (a live source also needs --via-dump)",
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

pub(super) const fn known(
    sqlstate: &'static str,
    words: &'static [&'static str],
    cause: &'static str,
    fix: &'static str,
) -> CatalogEntry {
    CatalogEntry { sqlstate, words, cause, fix }
}

impl CatalogEntry {
    pub(super) fn matches(&self, message: &str) -> bool {
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
pub(super) const BROAD_CODES: [&str; 3] = ["0A000", "53200", "58P01"];
