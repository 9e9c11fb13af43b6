//! What could go wrong with a dump of a live source, beyond the facts that every preflight
//! reads: asked only by those who look from this machine.

use super::connect::Session;
use super::inspect::ask;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Things that a person should know before a dump. Names are quoted as SQL wants them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LocalRisks {
    /// The role that looked.
    pub role: String,
    /// Schemas with tables, for which the role has no `USAGE`.
    pub closed_schemas: Vec<String>,
    /// Tables and sequences for which the role has no `SELECT`.
    pub unreadable: Vec<String>,
    /// Tables whose row security would hide rows from the role.
    pub hidden_rows: Vec<String>,
    /// Unlogged tables.
    pub unlogged: Vec<String>,
    /// Number of large objects.
    pub large_objects: u64,
    /// Indexes that a failed `CREATE INDEX CONCURRENTLY` left behind.
    pub invalid_indexes: Vec<String>,
    /// Constraints that were never checked against the rows that are there.
    pub unvalidated: Vec<String>,
    /// Objects that use an extension, by extension.
    pub extension_users: BTreeMap<String, Vec<String>>,
    /// Collations whose version has changed since they were used first.
    pub collations: Vec<String>,
}

/// Servers from 15 on know the version of the database's own collation too.
const COLLATIONS: &str = "(select coalesce(json_agg(name order by name), '[]') from (
    select format('collation %s', c.oid::regcollation) as name from pg_collation c
    where collversion is not null and collversion is distinct from pg_collation_actual_version(c.oid)
      and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384)
    union all
    select 'the collation of the database' from pg_database
    where datname = current_database() and datcollversion is distinct from pg_database_collation_actual_version(oid)) old)";
/// The same for older servers.
const COLLATIONS_BEFORE_15: &str =
    "(select coalesce(json_agg(format('collation %s', c.oid::regcollation)), '[]') from pg_collation c
    where collversion is not null and collversion is distinct from pg_collation_actual_version(c.oid)
      and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384))";

/// Asks a source of this major version.
pub async fn find_local_risks(session: &Session, major: u32) -> anyhow::Result<LocalRisks> {
    let collations = match major {
        15.. => COLLATIONS,
        13..15 => COLLATIONS_BEFORE_15, // regcollation came with 13
        _ => "'[]'::json",
    };
    ask(session, &include_str!("local_risks.sql").replace("COLLATIONS", collations)).await
}
