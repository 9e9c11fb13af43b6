//! What a dump leaves out, or loads only under conditions.

use super::super::{check, fixed, plural, with_evidence};
use super::{count, none_of};
use crate::source::risks::SourceRisks;
use crate::wire::{Check, CheckStatus, LeftOut};
use CheckStatus::{Pass, Warn};

/// Name of the check whether pg_dump reads all rows.
const ALL_ROWS: &str = "all_rows_included";

/// Rows that pg_dump leaves out by rule, for the report of an import.
pub fn rows_left_out(risks: &SourceRisks) -> Vec<LeftOut> {
    let left_out = |kind: String, count, reason: &str| LeftOut { kind, count, reason: reason.to_owned() };
    let unlogged = risks.unlogged.iter().filter(|_| risks.is_standby);
    let unlogged = unlogged.map(|name| {
        left_out(format!("ROWS OF {name}"), 1, "the source is a standby, which has no rows of unlogged tables")
    });
    let of_extension = risks.extension_tables.iter().map(|table| {
        let reason = format!("the table belongs to the extension {}, so pg_dump leaves it out", table.extension);
        left_out(format!("ROWS OF {}", table.name), table.rows, &reason)
    });
    let changed = risks.configuration_tables.iter().map(|table| {
        let reason =
            format!("the extension {} brings these rows, so pg_dump leaves out their changes", table.extension);
        left_out(format!("CHANGED ROWS OF {}", table.name), table.rows, &reason)
    });
    let invalid = (!risks.invalid_indexes.is_empty()).then(|| {
        let number = risks.invalid_indexes.len() as u64;
        left_out("INDEX".to_owned(), number, "pg_dump leaves out indexes that are not valid")
    });
    unlogged.chain(of_extension).chain(changed).chain(invalid).collect()
}

/// Warns of rows that pg_dump leaves out.
pub(super) fn all_rows_included(risks: &SourceRisks) -> Check {
    let all: Vec<LeftOut> = rows_left_out(risks).into_iter().filter(|left_out| left_out.kind != "INDEX").collect();
    if all.is_empty() {
        return check(ALL_ROWS, Pass, "pg_dump reads all rows".into());
    }
    let what = check(ALL_ROWS, Warn, format!("pg_dump leaves out rows of {}", count(all.len(), "table", "tables")));
    let fix = if risks.is_standby && !risks.unlogged.is_empty() {
        "import from the primary server; or copy these rows after the import"
    } else {
        "copy these rows after the import: psql -c '\\copy …'"
    };
    let evidence = all.iter().take(5).map(|left_out| {
        let rows = if left_out.reason.contains("standby") { String::new() } else { format!(" ({})", left_out.count) };
        format!("{}{rows}: {}", left_out.kind, left_out.reason)
    });
    with_evidence(fixed(what, fix), evidence.collect())
}

/// Warns of tables that lose their rows in a crash.
pub(super) fn unlogged(risks: &SourceRisks) -> Check {
    let what = |number| format!("{}: emptied after a server crash", count(number, "unlogged table", "unlogged tables"));
    let fix = if risks.is_standby {
        "to make the tables durable, on the primary: ALTER TABLE … SET LOGGED"
    } else {
        "to make the tables durable: ALTER TABLE … SET LOGGED (their rows are imported either way)"
    };
    none_of("no_unlogged_tables", Warn, &risks.unlogged, what, fix)
}

/// Warns of indexes that are missing after the import.
pub(super) fn indexes_valid(risks: &SourceRisks) -> Check {
    let what = |number| {
        format!(
            "{} left by an interrupted CREATE INDEX CONCURRENTLY; pg_dump leaves them out",
            count(number, "invalid index", "invalid indexes")
        )
    };
    let fix = "if the index is needed, run REINDEX INDEX first, or create it after the import; else DROP INDEX";
    none_of("indexes_valid", Warn, &risks.invalid_indexes, what, fix)
}

pub(super) fn constraints_validated(risks: &SourceRisks) -> Check {
    let what = |number| {
        format!(
            "{}: existing rows may violate them",
            count(number, "constraint is NOT VALID", "constraints are NOT VALID")
        )
    };
    none_of(
        "constraints_validated",
        Warn,
        &risks.unvalidated,
        what,
        "to validate the rows: ALTER TABLE … VALIDATE CONSTRAINT (the constraints are imported as NOT VALID)",
    )
}

pub(super) fn large_objects(risks: &SourceRisks) -> Check {
    let name = "large_objects";
    if risks.large_objects == 0 {
        return check(name, Pass, "none".into());
    }
    let what = check(
        name,
        Warn,
        format!("{}, imported one by one", plural(risks.large_objects, "large object", "large objects")),
    );
    fixed(what, "expect a slower import; remove orphaned objects with vacuumlo first")
}
