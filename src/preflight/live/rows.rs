//! What a dump leaves out, or loads only under conditions.

use super::super::{check, fixed, plural, with_evidence};
use super::{count, none_of};
use crate::source::risks::SourceRisks;
use crate::wire::{Check, CheckStatus, LeftOut};
use CheckStatus::{Pass, Warn};

/// Name of the check whether pg_dump reads all rows.
const ALL_ROWS: &str = "all_rows_included";

/// Rows of one table that pg_dump leaves out by rule.
struct LeftOutRows<'a> {
    table: &'a str,
    /// Their number; `None` if it cannot be counted.
    rows: Option<u64>,
    are_changed: bool,
    reason: String,
}

fn rows_not_read(risks: &SourceRisks) -> Vec<LeftOutRows<'_>> {
    let unlogged = risks.unlogged.iter().filter(|_| risks.is_standby).map(|table| LeftOutRows {
        table,
        rows: None,
        are_changed: false,
        reason: "the source is a standby, which has no rows of unlogged tables".to_owned(),
    });
    let of_extension = risks.extension_tables.iter().map(|table| LeftOutRows {
        table: &table.name,
        rows: Some(table.rows),
        are_changed: false,
        reason: format!("the table belongs to the extension {}, so pg_dump leaves it out", table.extension),
    });
    let changed = risks.configuration_tables.iter().map(|table| LeftOutRows {
        table: &table.name,
        rows: Some(table.rows),
        are_changed: true,
        reason: format!("the extension {} brings these rows, so pg_dump leaves out their changes", table.extension),
    });
    unlogged.chain(of_extension).chain(changed).collect()
}

/// Rows and indexes that pg_dump leaves out by rule, for the report of an import.
pub fn rows_left_out(risks: &SourceRisks) -> Vec<LeftOut> {
    let rows = rows_not_read(risks).into_iter().map(|left_out| LeftOut {
        kind: format!("{}ROWS OF {}", if left_out.are_changed { "CHANGED " } else { "" }, left_out.table),
        count: left_out.rows.unwrap_or(1),
        reason: left_out.reason,
    });
    let invalid = (!risks.invalid_indexes.is_empty()).then(|| LeftOut {
        kind: "INDEX".to_owned(),
        count: risks.invalid_indexes.len() as u64,
        reason: "pg_dump leaves out indexes that are not valid".to_owned(),
    });
    rows.chain(invalid).collect()
}

/// Warns of rows that pg_dump leaves out.
pub(super) fn all_rows_included(risks: &SourceRisks) -> Check {
    let all = rows_not_read(risks);
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
        let rows = left_out.rows.map_or_else(String::new, |rows| format!(" ({rows})"));
        format!("{}{rows}: {}", left_out.table, left_out.reason)
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
