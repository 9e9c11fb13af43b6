//! The plan of an import, from a dump's contents.

use super::progress::tracker::TableData;
use crate::dump::archive::{Archive, DataLocation, Entry};
use crate::dump::definitions::Definitions;
use crate::dump::encoding::{Encoding, SourceEncoding};
use crate::dump::statement::client_encoding;
use crate::dump::statement::{extension, granted_roles, policy_roles, statements};
use crate::dump::treatment::{
    EVENT_TRIGGER_REASON, PUBLICATION_REASON, RequestedExtension, SECURITY_LABEL_REASON, SUBSCRIPTION_REASON,
    Treatment, treat,
};
use crate::dump::{Contents, FORCE_ROW_SECURITY};
use crate::wire::LeftOut;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// Maximum number of archive entries whose grants are kept.
const MAX_GRANTS: usize = 100_000;

/// The objects that an import creates before it loads, and those that it skips.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// Extensions for the administrator to create.
    pub(super) extensions: Vec<RequestedExtension>,
    /// Roles that policies name, which must exist first.
    pub(super) roles: Vec<String>,
    /// Grants on objects: the roles, and the statement.
    grants: Vec<(Vec<String>, String)>,
    /// Ids of the archive entries to restore, in archive order.
    pub(super) entries: Vec<i32>,
    /// An archive entry that cannot be imported, and why.
    pub(super) refusal: Option<(i32, String)>,
    /// Whether the archive has rows as statements (`INSERT`), which must pass the SQL filter.
    pub(super) by_statements: bool,
    /// Schema and name of each table that the archive creates.
    pub(super) table_names: Vec<(String, String)>,
    /// The table data in the archive, in archive order.
    pub(super) tables: Vec<TableData>,
    /// Number of indexes and constraints in the archive; 0 for a script.
    pub(super) indexes: u64,
    /// The properties of a script.
    pub(super) script: ScriptPlan,
    /// Schemas that the dump creates.
    pub(super) schemas: Vec<String>,
    /// Schemas of the target that the dump would create too.
    pub(super) existing_schemas: Vec<String>,
    /// The archive entries of schemas.
    schema_entries: Vec<(i32, String)>,
    /// Whether the archive has a table whose owner must not see all rows, and a materialized view.
    hides_rows: bool,
    has_materialized_views: bool,
    /// Skipped objects by kind: their number and the reason.
    left_out: BTreeMap<&'static str, (u64, &'static str)>,
}

/// How a script must be loaded.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a script")]
pub(super) struct ScriptPlan {
    /// Number of tables that it loads rows into.
    pub(super) tables: u64,
    /// Whether it is not from `pg_dump`.
    pub(super) handwritten: bool,
    /// Whether it may rely on running in one transaction.
    pub(super) one_transaction: bool,
    /// Whether it turns triggers and foreign keys off while rows load.
    pub(super) sets_replication_role: bool,
    /// Whether it creates a database and connects to it (`pg_dump --create`).
    pub(super) creates_database: bool,
}

impl Plan {
    /// Plans the import of an archive, from its table of contents. `used` are the extensions that it uses
    /// but does not create; `encoding` is that of its text, whatever it declares.
    pub(super) fn of_archive(
        reader: impl BufRead,
        used: Vec<RequestedExtension>,
        encoding: Option<&SourceEncoding>,
    ) -> Result<Self, crate::dump::archive::ArchiveError> {
        let mut archive = Archive::open(reader)?.with_encoding(encoding);
        // `pg_restore` would declare the encoding of the archive.
        let mut plan = Self { extensions: used, by_statements: encoding.is_some(), ..Self::default() };
        let mut schemas = Vec::new();
        let mut definitions = Definitions::default();
        while let Some(entry) = archive.next_entry()? {
            definitions.take(&entry);
            plan.take(entry, &mut schemas);
        }
        plan.refusal = definitions.finish();
        // The schema of an extension is created before the extension, not by the dump.
        let schemas_of_entries = schemas.clone();
        schemas.retain(|(_, name)| plan.makes_schema(name));
        plan.entries.retain(|id| !schemas.iter().any(|(created, _)| created == id));
        plan.schema_entries = schemas_of_entries;
        Ok(plan)
    }

    fn take(&mut self, entry: Entry, schemas: &mut Vec<(i32, String)>) {
        let left_out = match entry.kind.as_str() {
            "EXTENSION" => {
                let requested = extension(entry.definition.as_bytes());
                self.extensions.push(requested.unwrap_or(RequestedExtension { name: entry.tag, schema: None }));
                return;
            }
            "COMMENT" if entry.tag.starts_with("EXTENSION ") => return,
            "COMMENT" if entry.tag.starts_with("EVENT TRIGGER ") => return,
            "COMMENT" if entry.tag.starts_with("SUBSCRIPTION ") => return,
            "EVENT TRIGGER" => Some(("EVENT TRIGGER", EVENT_TRIGGER_REASON)),
            "SUBSCRIPTION" => Some(("SUBSCRIPTION", SUBSCRIPTION_REASON)),
            "SUBSCRIPTION TABLE" => return,
            "SECURITY LABEL" => Some(("SECURITY LABEL", SECURITY_LABEL_REASON)),
            // Only Postgres 18 can restore them, and the target computes its own.
            "STATISTICS DATA" => return,
            "PUBLICATION" if matches!(treat(entry.definition.as_bytes()), Treatment::SkipAndReport(..)) => {
                Some(("PUBLICATION", PUBLICATION_REASON))
            }
            "PUBLICATION TABLES IN SCHEMA" => Some(("PUBLICATION", PUBLICATION_REASON)),
            _ => None,
        };
        if let Some((kind, reason)) = left_out {
            self.left_out.entry(kind).or_insert((0, reason)).0 += 1;
            return;
        }
        // Only the server checks text, and only if the client declares an encoding: see `treat`.
        self.by_statements |= entry.kind == "ENCODING"
            && client_encoding(entry.definition.as_bytes())
                .is_some_and(|name| Encoding::parse(&name) == Encoding::SqlAscii);
        let blob = ["BLOB", "BLOBS"].contains(&entry.kind.as_str());
        self.by_statements |= entry.data != DataLocation::None && entry.copy.is_empty() && !blob;
        // The filter postpones the former to the end: the view is computed from all rows.
        self.hides_rows |= entry.kind == "TABLE" && entry.definition.contains(FORCE_ROW_SECURITY);
        self.has_materialized_views |= entry.kind == "MATERIALIZED VIEW DATA";
        self.by_statements |= self.hides_rows && self.has_materialized_views;
        if entry.kind == "TABLE" {
            self.table_names.push((entry.schema.clone(), entry.tag.clone()));
        }
        match (entry.kind.as_str(), &entry.data) {
            ("TABLE DATA", data) => {
                // Holds the offset until `measure_custom` replaces it by the size.
                let size = if let DataLocation::At(offset) = data { *offset } else { 0 };
                self.tables.push(TableData { name: format!("{}.{}", entry.schema, entry.tag), id: entry.id, size });
            }
            ("INDEX" | "CONSTRAINT", _) => self.indexes += 1,
            _ => {}
        }
        if entry.kind == "SCHEMA" {
            self.schemas.push(entry.tag.clone());
            schemas.push((entry.id, entry.tag.clone()));
        }
        if entry.kind == "ACL" && self.grants.len() < MAX_GRANTS {
            let statements = statements(&entry.definition).into_iter();
            let grants =
                statements.filter_map(|statement| Some((granted_roles(statement.as_bytes())?, statement.to_owned())));
            self.grants.extend(grants);
            return; // restored without privileges
        }
        if entry.kind == "POLICY" {
            self.roles.extend(policy_roles(entry.definition.as_bytes()));
        }
        self.entries.push(entry.id);
    }

    /// Plans the import of a plain dump.
    pub(super) fn of_script(found: Contents) -> Self {
        Self {
            extensions: found.all_extensions(),
            roles: found.policy_roles,
            grants: found.grants,
            entries: Vec::new(),
            refusal: None,
            by_statements: false,
            table_names: Vec::new(),
            tables: Vec::new(),
            indexes: 0,
            hides_rows: false,
            has_materialized_views: false,
            script: ScriptPlan {
                tables: found.tables_with_data,
                handwritten: !found.by_pg_dump,
                one_transaction: !found.by_pg_dump || found.one_transaction,
                sets_replication_role: found.sets_replication_role,
                creates_database: found.databases == 1,
            },
            schemas: found.schemas.into_iter().collect(),
            existing_schemas: Vec::new(),
            schema_entries: Vec::new(),
            left_out: found.left_out,
        }
    }

    /// Computes the sizes of the tables in a custom archive of this length, in bytes: each ends where
    /// the next one begins.
    pub(super) fn measure_custom(&mut self, length: u64) {
        let mut offsets: Vec<u64> = self.tables.iter().map(|table| table.size).collect();
        offsets.push(length);
        offsets.sort_unstable();
        for table in &mut self.tables {
            let next = offsets.partition_point(|offset| *offset <= table.size);
            table.size = offsets.get(next).map_or(0, |next| next - table.size);
        }
    }

    /// Reads the sizes of the tables in a directory archive, in bytes.
    pub(super) fn measure_directory(&mut self, dir: &Path) {
        for table in &mut self.tables {
            table.size = std::fs::metadata(dir.join(format!("{}.dat", table.id))).map_or(0, |about| about.len());
        }
    }

    /// Whether the schema is created before the load, so that the dump must not create it.
    pub(super) fn makes_schema(&self, name: &str) -> bool {
        name == "public" || self.extensions.iter().any(|requested| requested.schema.as_deref() == Some(name))
    }

    /// The grants whose roles are all named by policies.
    pub(super) fn grants_to_policy_roles(&self) -> impl Iterator<Item = &String> {
        let is_known = |roles: &[String]| !roles.is_empty() && roles.iter().all(|role| self.roles.contains(role));
        self.grants.iter().filter(move |(roles, _)| is_known(roles)).map(|(_, statement)| statement)
    }

    /// The same plan for a target that has these schemas already.
    pub(super) fn with_existing_schemas(mut self, existing: Vec<String>) -> Self {
        let is_there =
            |id: &i32| self.schema_entries.iter().any(|(entry, name)| entry == id && existing.contains(name));
        self.entries.retain(|id| !is_there(id));
        self.existing_schemas = existing;
        self
    }

    /// The list for `pg_restore --use-list`.
    pub(super) fn restore_list(&self) -> String {
        self.entries.iter().fold(String::new(), |mut list, id| {
            use std::fmt::Write;
            let _ = writeln!(list, "{id};"); // writing to a string does not fail
            list
        })
    }

    /// The skipped objects, for the job's result.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let left_out = |(kind, (count, reason)): (&&str, &(u64, &str))| LeftOut {
            kind: (*kind).to_owned(),
            count: *count,
            reason: (*reason).to_owned(),
        };
        self.left_out.iter().map(left_out).collect()
    }
}
