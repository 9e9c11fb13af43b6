//! Limits of the source server that stop a dump.

use super::super::{check, fixed, plural, with_evidence};
use crate::source::risks::SourceRisks;
use crate::util::format::bytes;
use crate::wire::{Check, CheckStatus};
use CheckStatus::{Fail, Pass, Warn};

/// Fails if the server has no room for a lock on each table. The table of locks has some reserve.
pub(super) fn locks(risks: &SourceRisks) -> Check {
    let name = "locks_available";
    let (tables, capacity) = (risks.tables, risks.lock_capacity);
    let status = match tables {
        _ if capacity == 0 => Pass,
        _ if tables > capacity * 3 / 2 => Fail,
        _ if tables > capacity => Warn,
        _ => Pass,
    };
    if status == Pass {
        return check(name, Pass, format!("{} to lock", plural(tables, "table", "tables")));
    }
    let what = format!("a dump locks {tables} tables, and the source has room for about {capacity} locks");
    let needed = (64 * tables * 3 / 2 / capacity.max(1)).max(128).next_multiple_of(64);
    let fix = format!("on the source: ALTER SYSTEM SET max_locks_per_transaction = {needed}, then restart it");
    fixed(check(name, status, what), fix)
}

/// Fails if a row is longer than the server can send.
pub(super) fn row_length(risks: &SourceRisks) -> Check {
    let name = "rows_within_limits";
    if risks.wide_tables.is_empty() {
        return check(name, Pass, "no row near 1 GB found".into());
    }
    let what = "a row is longer as text than the 1 GB that Postgres can send (bytea takes two bytes for each)";
    let evidence = risks.wide_tables.iter().map(|table| format!("{}: {}", table.name, bytes(table.longest)));
    let fix = "store such values as large objects or in several rows, or delete them";
    with_evidence(fixed(check(name, Fail, what.into()), fix), evidence.collect())
}

/// Name of the check of the source's encoding.
pub const KNOWN_ENCODING: &str = "source_encoding_known";

/// Warns if the server never checked the encoding of text.
pub(super) fn encoding(risks: &SourceRisks) -> Check {
    let name = KNOWN_ENCODING;
    let encoding = &risks.collation.encoding;
    if encoding != "SQL_ASCII" {
        return check(name, Pass, encoding.clone());
    }
    if !risks.text_columns.is_empty() {
        let tables = super::count(risks.text_columns.len(), "table", "tables");
        let what = format!("the encoding of the source is SQL_ASCII, and the text of {tables} is not UTF-8");
        let fix = "name the real encoding: capydb import --via-dump --source-encoding WIN1252";
        let evidence = risks.text_columns.iter().take(8).map(|table| table.name.clone()).collect();
        return with_evidence(fixed(check(name, Fail, what), fix), evidence);
    }
    let what =
        "the encoding of the source is SQL_ASCII, so its text may have any; bytes that are not UTF-8 stop the import";
    let fix = "if it fails, name the real encoding: capydb import --via-dump --source-encoding WIN1252";
    fixed(check(name, Warn, what.into()), fix)
}
