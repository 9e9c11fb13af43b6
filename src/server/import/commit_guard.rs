//! A script that is imported in one transaction must not end it. What it may not say is
//! filtered; this holds should the filter ever read the script otherwise than psql does.

use crate::server::crypto::{hex, random_hex, sha256};

/// A deferred trigger that stops every commit that comes before the end of the script, and a
/// look at the end at which transaction it is. The script's role could take the trigger away,
/// but not without meaning to; then the look finds it out, and the import has failed.
pub(super) struct CommitGuard {
    /// Must be set in the session at the end of the script. The database knows its hash only.
    arrived: String,
}

impl CommitGuard {
    pub(super) fn new() -> Self {
        Self { arrived: random_hex(16) }
    }

    /// The first statements of the transaction.
    pub(super) fn begin(&self) -> String {
        let hash = hex(&sha256(&self.arrived));
        format!(
            "create function pg_temp.capydb_guard() returns trigger language plpgsql set search_path = pg_catalog as $$ begin
                 if encode(sha256(convert_to(coalesce(current_setting('capydb.arrived', true), ''), 'UTF8')), 'hex') <> '{hash}' then
                     raise exception 'the dump ends its transaction before its own end';
                 end if;
                 return null;
             end $$;
             create temporary table capydb_guard (x int) on commit drop;
             create constraint trigger capydb_guard after insert on pg_temp.capydb_guard deferrable initially deferred
                 for each row execute function pg_temp.capydb_guard();
             insert into pg_temp.capydb_guard values (1)"
        )
    }

    /// What opens it: said in the transaction that began, and in no other.
    pub(super) fn open(&self, transaction: &str) -> String {
        format!(
            "\ndo $$ begin
                 if pg_catalog.pg_current_xact_id()::pg_catalog.text operator(pg_catalog.<>) '{transaction}' then
                     raise exception 'the dump ended its transaction before its own end';
                 end if;
             end $$;
             set capydb.arrived = '{}';\n",
            self.arrived
        )
    }
}
