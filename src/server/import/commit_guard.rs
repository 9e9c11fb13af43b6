//! Keeps a script that is imported in one transaction from ending it. The filter already removes such
//! statements; this guard holds even if the filter parses the script differently than psql.

use crate::server::crypto::{hex, random_hex, sha256};

/// A deferred trigger that rejects every commit before the end of the script, and a check of the
/// transaction id at the end. The script's role could drop the trigger, though not by accident; the
/// check then fails the import.
pub(super) struct CommitGuard {
    /// The value that the session must set at the end of the script. The database has only its hash.
    arrived: String,
}

impl CommitGuard {
    pub(super) fn new() -> Self {
        Self { arrived: random_hex(16) }
    }

    /// SQL for the start of the transaction.
    pub(super) fn begin(&self) -> String {
        let hash = hex(&sha256(&self.arrived));
        format!(
            "create function pg_temp.capydb_guard() returns trigger language plpgsql set search_path = pg_catalog as $$ begin
                 if encode(sha256(convert_to(coalesce(current_setting('capydb.arrived', true), ''), 'UTF8')), 'hex') <> '{hash}' then
                     raise exception 'the dump ends the import transaction early';
                 end if;
                 return null;
             end $$;
             create temporary table capydb_guard (x int) on commit drop;
             create constraint trigger capydb_guard after insert on pg_temp.capydb_guard deferrable initially deferred
                 for each row execute function pg_temp.capydb_guard();
             insert into pg_temp.capydb_guard values (1)"
        )
    }

    /// SQL that permits the commit. Fails in any transaction but the one that was begun.
    pub(super) fn open(&self, transaction: &str) -> String {
        format!(
            "\ndo $$ begin
                 if pg_catalog.pg_current_xact_id()::pg_catalog.text operator(pg_catalog.<>) '{transaction}' then
                     raise exception 'the dump ended the import transaction early';
                 end if;
             end $$;
             set capydb.arrived = '{}';\n",
            self.arrived
        )
    }
}
