//! Errors of reading a live source: their cause and fix, and whether to read again.

use super::catalog::{CatalogEntry, known};

/// What to do after an error of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum NextRead {
    /// Fail.
    Stop,
    /// Read again: the source was interrupted.
    Again,
    /// Read again over a single connection.
    OneConnection,
}

/// A known error of a source.
pub(super) struct SourceError {
    pub(super) entry: CatalogEntry,
    pub(super) next: NextRead,
}

const RETRY: &str = "run the import again";

/// Postgres, "Error Codes"; messages of pg_dump and libpq. The more specific entry is first.
pub(super) const SOURCE_CATALOG: &[SourceError] = &[
    source(
        known(
            "55P03",
            &["could not obtain lock on relation"],
            "another session of the source waits for an exclusive lock on this table (ALTER TABLE, TRUNCATE)",
            "import when no migration runs on the source",
        ),
        NextRead::OneConnection,
    ),
    source(
        known(
            "53300",
            &["too many connections", "connection slots are reserved", "too many clients", "connection limit exceeded"],
            "the source accepts no further connection: the limit of the server, the database or the role is reached",
            "close connections on the source, or as its administrator: ALTER ROLE … CONNECTION LIMIT -1",
        ),
        NextRead::OneConnection,
    ),
    source(
        known(
            "40001",
            &["conflict with recovery"],
            "the source is a standby, and replaying the primary's changes took precedence over the dump",
            "import from the primary, or raise max_standby_streaming_delay on the standby",
        ),
        NextRead::Again,
    ),
    source(
        known(
            "57014",
            &["canceling statement due to statement timeout", "canceling statement due to lock timeout"],
            "another session of the source has held a lock on a table for more than 60 seconds",
            "end that session on the source (pg_terminate_backend), or import when it has ended",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "57014",
            &["canceling statement due to user request"],
            "someone cancelled a statement of the dump on the source",
            RETRY,
        ),
        NextRead::Again,
    ),
    source(
        known(
            "42501",
            &["row-level security policy"],
            "row security hides rows of this table from the role of the source URL",
            "use the URL of a role with BYPASSRLS, or of the table's owner unless FORCE ROW LEVEL SECURITY is set",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "42501",
            &["permission denied"],
            "the role of the source URL may not read this object of the source",
            "use the owner's URL; or on the source, as the owner: GRANT SELECT ON … TO the role",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "53200",
            &["out of shared memory"],
            "the source has no room for a lock on each of its tables",
            "on the source: raise max_locks_per_transaction, then restart it",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "54000",
            &["invalid memory alloc request size", "string buffer", "out of memory", "field too long"],
            "a row of this table is longer as text than the 1 GB that Postgres can send (bytea takes two bytes for each)",
            "store such values as large objects or in several rows, or delete them on the source",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "22021",
            &["invalid byte sequence", "has no equivalent in encoding"],
            "the text of this table is not in the encoding that the source declares",
            "dump on a machine of your own, and name the real encoding: --via-dump --source-encoding WIN1252",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "XX001",
            &["could not read block", "missing chunk", "unexpected chunk", "invalid page", "could not access status"],
            "the data files of the source are damaged",
            "restore the source from a backup, or remove the damaged rows (Postgres, pg_amcheck finds them)",
        ),
        NextRead::Stop,
    ),
    source(
        known(
            "42P01",
            &["relation …does not exist", "could not open relation", "cache lookup failed", "schema …does not exist"],
            "a table or another object was dropped on the source while it was read",
            "run the import again when nothing is dropped on the source",
        ),
        NextRead::Again,
    ),
    source(
        known("57P03", &["the database system is", "not yet accepting connections"], "the source is restarting", RETRY),
        NextRead::Again,
    ),
    source(
        known(
            "57P01",
            &["terminating connection"],
            "the source ended the connection: a restart, an administrator, or a timeout",
            RETRY,
        ),
        NextRead::Again,
    ),
    source(
        known(
            "08006",
            &[
                "server closed the connection",
                "connection to server",
                "could not connect",
                "SSL SYSCALL",
                "SSL error",
                "could not receive data",
                "could not send data",
                "no connection to the server",
                "lost synchronization",
            ],
            "the connection to the source was lost",
            RETRY,
        ),
        NextRead::Again,
    ),
];

const fn source(entry: CatalogEntry, next: NextRead) -> SourceError {
    SourceError { entry, next }
}
