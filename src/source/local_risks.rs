//! Risks of dumping a live source from this machine, beyond the facts that every preflight reads.

use super::connect::Session;
use super::inspect::query_json;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Risks to report before a dump. Names are quoted as SQL identifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LocalRisks {
    /// The role that ran the query.
    pub role: String,
    /// Schemas with tables on which the role has no `USAGE`.
    pub closed_schemas: Vec<String>,
    /// Tables and sequences on which the role has no `SELECT`.
    pub unreadable: Vec<String>,
    /// Tables whose row-level security may hide rows from the role.
    pub hidden_rows: Vec<String>,
    /// Unlogged tables.
    pub unlogged: Vec<String>,
    /// Number of large objects.
    pub large_objects: u64,
    /// Indexes that a failed `CREATE INDEX CONCURRENTLY` left behind.
    pub invalid_indexes: Vec<String>,
    /// Constraints that were not validated against existing rows (`NOT VALID`).
    pub unvalidated: Vec<String>,
    /// Objects that depend on an extension, by extension.
    pub extension_users: BTreeMap<String, Vec<String>>,
    /// Collations whose provider version has changed since they were created.
    pub collations: Vec<String>,
}

/// Servers since version 15 also record the version of the database's default collation.
const COLLATIONS: &str = "(select coalesce(json_agg(name order by name), '[]') from (
    select format('collation %s', c.oid::regcollation) as name from pg_collation c
    where collversion is not null and collversion is distinct from pg_collation_actual_version(c.oid)
      and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384)
    union all
    select 'the collation of the database' from pg_database
    where datname = current_database() and datcollversion is distinct from pg_database_collation_actual_version(oid)) old)";
/// The query for servers before version 15.
const COLLATIONS_BEFORE_15: &str =
    "(select coalesce(json_agg(format('collation %s', c.oid::regcollation)), '[]') from pg_collation c
    where collversion is not null and collversion is distinct from pg_collation_actual_version(c.oid)
      and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384))";

/// Queries a source of this major version.
pub async fn find_local_risks(session: &Session, major: u32) -> anyhow::Result<LocalRisks> {
    let collations = match major {
        15.. => COLLATIONS,
        13..15 => COLLATIONS_BEFORE_15, // regcollation was added in 13
        _ => "'[]'::json",
    };
    query_json(session, &include_str!("local_risks.sql").replace("COLLATIONS", collations)).await
}
