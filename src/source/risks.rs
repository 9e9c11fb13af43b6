//! Risks of importing a live source, beyond the facts that every preflight reported before.

use super::connect::Session;
use super::inspect::{self, query_json};
use super::{SourceUrl, probes};
use crate::util::format::major;
use crate::wire::SourceFacts;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Risks to report before an import. Names are quoted as SQL identifiers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SourceRisks {
    /// The role that ran the query.
    pub role: String,
    /// The database, unquoted.
    pub database: String,
    /// Whether the server is a standby.
    pub is_standby: bool,
    /// Number of tables, views, sequences, functions and types of the application.
    pub objects: u64,
    /// Kinds and names of the application's objects.
    pub names: Vec<String>,
    /// Databases of the server that the role may connect to, unquoted; once probed, only those with tables.
    pub other_databases: Vec<String>,
    /// Schemas with tables on which the role has no `USAGE`.
    pub closed_schemas: Vec<String>,
    /// Tables and sequences on which the role has no `SELECT`.
    pub unreadable: Vec<String>,
    /// Number of large objects that the role cannot read.
    pub unreadable_large_objects: u64,
    /// Tables whose row-level security may hide rows from the role.
    pub hidden_rows: Vec<String>,
    /// Tables with row-level security that does not apply to their owner.
    pub row_security: Vec<String>,
    /// Roles that policies name.
    pub policy_roles: Vec<String>,
    /// `SECURITY DEFINER` functions whose owner does not own all tables.
    pub definer_functions: Vec<String>,
    /// Views over tables with row-level security of another owner, without `security_invoker`.
    pub definer_views: Vec<String>,
    /// Unlogged tables and sequences.
    pub unlogged: Vec<String>,
    /// Number of large objects.
    pub large_objects: u64,
    /// Indexes that a failed `CREATE INDEX CONCURRENTLY` left behind.
    pub invalid_indexes: Vec<String>,
    /// Constraints that were not validated against existing rows (`NOT VALID`).
    pub unvalidated: Vec<String>,
    /// Objects that depend on an extension, by extension.
    pub extension_users: BTreeMap<String, Vec<String>>,
    /// Tables that belong to an extension, whose rows pg_dump leaves out; once probed, those with rows.
    pub extension_tables: Vec<ExtensionTable>,
    /// Tables of which pg_dump leaves out the rows that the extension brings; once probed, those where such
    /// rows were changed.
    pub configuration_tables: Vec<ExtensionTable>,
    /// Tables with large values; once probed, those with a row that pg_dump cannot read.
    pub wide_tables: Vec<WideTable>,
    /// Objects that only a superuser can create, with their kind.
    pub superuser_objects: Vec<String>,
    /// Tables, functions, indexes with expressions, and materialized views as SQL, up to 2 MB.
    pub definitions: String,
    /// Tables of an SQL_ASCII database with text; once probed, those with text that is not UTF-8.
    pub text_columns: Vec<WideTable>,
    /// Settings that functions set.
    pub function_settings: Vec<FunctionSetting>,
    /// Settings of the database, and of the role in it.
    pub settings: Vec<DatabaseSetting>,
    /// How the database sorts text.
    pub collation: Collation,
    /// Indexes of text that is sorted by the collation of the database.
    pub sorted_indexes: Vec<String>,
    /// Number of tables, each of which a dump locks.
    pub tables: u64,
    /// Number of locks that the server has room for.
    pub lock_capacity: u64,
    /// Number of further connections that the role may open.
    pub free_connections: i64,
    /// Collations whose provider version has changed since they were created.
    pub collations: Vec<String>,
}

impl SourceRisks {
    /// Whether there is nothing to import: usually the URL names the provider's default database.
    pub fn is_empty(&self) -> bool {
        self.objects == 0 && self.large_objects == 0
    }
}

/// A table that belongs to an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExtensionTable {
    /// Name of the table.
    pub name: String,
    /// The extension, unquoted.
    pub extension: String,
    /// Condition of the rows that pg_dump reads, with its `WHERE`.
    pub condition: Option<String>,
    /// Number of rows that pg_dump leaves out.
    pub rows: u64,
}

/// A table with large values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WideTable {
    /// Name of the table.
    pub name: String,
    /// An expression over a row: its length as text in bytes, or its text.
    pub expression: String,
    /// Length of the longest row as text, in bytes.
    pub longest: u64,
}

/// A setting that a function sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FunctionSetting {
    /// The function with its argument types.
    pub function: String,
    /// Name of the setting.
    pub setting: String,
}

/// A setting of the database (`ALTER DATABASE … SET`) or of a role in it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DatabaseSetting {
    /// The role, if it is the setting of one.
    pub role: Option<String>,
    /// Name of the setting.
    pub name: String,
    /// Its value, which may be a secret.
    pub value: String,
}

impl std::fmt::Debug for DatabaseSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseSetting").field("role", &self.role).field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a database sorts text (`pg_database`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Collation {
    /// Name of the encoding.
    pub encoding: String,
    /// `c` for the operating system's, `i` for ICU, `b` for the built-in one.
    pub provider: String,
    /// Locale for the order of text, with provider `c`.
    pub collate: String,
    /// Locale for character classes.
    pub ctype: String,
    /// Locale with the other providers.
    pub locale: Option<String>,
    /// Rules of ICU that change the order of the locale.
    pub rules: Option<String>,
}

impl Collation {
    /// Whether text is sorted by its bytes.
    pub fn is_by_bytes(&self) -> bool {
        let name = if self.provider == "c" { &self.collate } else { self.locale.as_ref().unwrap_or(&self.collate) };
        let name = name.to_ascii_lowercase().replace('-', "");
        self.provider != "i" && ["c", "posix", "c.utf8", "pg_unicode_fast"].contains(&name.as_str())
    }

    /// Whether both sort text in the same order, as far as their names say.
    pub fn sorts_like(&self, other: &Self) -> bool {
        let plain = |locale: &str| locale.to_ascii_lowercase().replace('-', "");
        let name =
            |of: &Self| plain(if of.provider == "c" { &of.collate } else { of.locale.as_deref().unwrap_or_default() });
        // Character classes decide on upper and lower case, also in indexes.
        let same_classes = self.provider != "c" || other.provider != "c" || plain(&self.ctype) == plain(&other.ctype);
        let same_order = (self.is_by_bytes() && other.is_by_bytes())
            || (self.provider == other.provider && name(self) == name(other) && self.rules == other.rules);
        same_order && same_classes
    }
}

impl std::fmt::Display for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let locale = self.locale.as_deref().unwrap_or(&self.collate);
        match self.provider.as_str() {
            "i" if self.rules.is_some() => write!(f, "{locale} with rules (ICU)"),
            "i" => write!(f, "{locale} (ICU)"),
            "b" => write!(f, "{locale} (built-in)"),
            _ => f.write_str(&self.collate),
        }
    }
}

/// Maximum length of the risks in bytes: those of 20,000 objects fit.
const MAX_RISKS: usize = 12 << 20;

/// A query for the kinds and names of an application's objects, as a JSON list.
pub(crate) const NAMES: &str = include_str!("names.sql");

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

/// Inspects a source: the facts of every preflight, and the risks, with further queries where the
/// catalogs do not suffice.
pub async fn inspect_fully(
    session: &Session,
    url: &SourceUrl,
    allow_private: bool,
) -> anyhow::Result<(SourceFacts, SourceRisks)> {
    let facts = inspect::inspect(session).await?;
    let collations = match major(&facts.server_version).unwrap_or_default() {
        15.. => COLLATIONS,
        13..15 => COLLATIONS_BEFORE_15, // regcollation was added in 13
        _ => "'[]'::json",
    };
    let script = include_str!("risks.sql").replace("COLLATIONS", collations).replace("NAMES", NAMES);
    let risks = query_json(session, &script, MAX_RISKS).await?;
    let mut risks = probes::probe(session, risks).await;
    if risks.is_empty() {
        risks.other_databases = probes::databases_with_tables(url, allow_private, &risks.other_databases).await;
    }
    Ok((facts, risks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collation(provider: &str, collate: &str, locale: Option<&str>) -> Collation {
        Collation {
            provider: provider.into(),
            collate: collate.into(),
            locale: locale.map(str::to_owned),
            ..Collation::default()
        }
    }

    #[test]
    fn collations_of_the_same_order_are_recognized() {
        let bytes =
            [collation("c", "C.UTF-8", None), collation("c", "POSIX", None), collation("b", "C", Some("C.UTF-8"))];
        for one in &bytes {
            assert!(bytes.iter().all(|other| one.sorts_like(other)));
        }
        let german = collation("i", "de_DE.UTF-8", Some("de-DE"));
        assert!(!german.sorts_like(&bytes[0]) && german.sorts_like(&german.clone()));
        assert!(!german.sorts_like(&collation("c", "de_DE.UTF-8", None)));
        assert!(collation("c", "en_US.utf8", None).sorts_like(&collation("c", "en_US.UTF-8", None)));
        assert_eq!(german.to_string(), "de-DE (ICU)");
    }

    #[test]
    fn the_value_of_a_setting_is_not_shown() {
        let setting = DatabaseSetting { role: None, name: "app.secret".into(), value: "canary".into() };
        assert!(!format!("{setting:?}").contains("canary"));
    }
}
