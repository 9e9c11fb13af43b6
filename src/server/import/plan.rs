use super::progress::tracker::TableData;
use crate::dump::Contents;
use crate::dump::archive::{Archive, Data, Entry};
use crate::dump::definitions::Definitions;
use crate::dump::statement::{
    EVENT_TRIGGER_REASON, PUBLICATION_REASON, RequestedExtension, SECURITY_LABEL_REASON, SUBSCRIPTION_REASON,
    Treatment, extension, policy_roles, treat,
};
use crate::wire::LeftOut;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// What an import makes before it loads, and what it leaves out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Extensions to create as administrator.
    pub(super) extensions: Vec<RequestedExtension>,
    /// Roles that must exist for policies to name them.
    pub(super) roles: Vec<String>,
    /// Entries of the archive to restore, in its order.
    pub(super) entries: Vec<i32>,
    /// An entry of the archive that cannot be part of an import, and why.
    pub(super) refusal: Option<(i32, String)>,
    /// Rows of the archive come as statements, which nobody has read yet.
    pub(super) by_statements: bool,
    /// Schemas and names of the tables that the archive makes.
    pub(super) table_names: Vec<(String, String)>,
    /// Rows of tables in the archive, in its order.
    pub(super) tables: Vec<TableData>,
    /// Indexes that it builds, those of keys among them; not known of a script.
    pub(super) indexes: u64,
    /// Tables that a script brings rows for.
    pub(super) script_tables: u64,
    /// A script that somebody else than pg_dump wrote: it may rely on being one transaction.
    pub(super) handwritten: bool,
    /// What is left out, by kind.
    left_out: BTreeMap<&'static str, (u64, &'static str)>,
}

impl Plan {
    /// The plan for an archive, from its table of contents.
    pub(super) fn of_archive(reader: impl BufRead) -> Result<Self, crate::dump::archive::ArchiveError> {
        let mut archive = Archive::open(reader)?;
        let mut plan = Self::default();
        let mut schemas = Vec::new();
        let mut definitions = Definitions::default();
        while let Some(entry) = archive.next_entry()? {
            definitions.take(&entry);
            plan.take(entry, &mut schemas);
        }
        plan.refusal = definitions.finish();
        // A schema that an extension lives in is made before the extension.
        schemas.retain(|(_, name)| plan.makes_schema(name));
        plan.entries.retain(|id| !schemas.iter().any(|(created, _)| created == id));
        Ok(plan)
    }

    fn take(&mut self, entry: Entry, schemas: &mut Vec<(i32, String)>) {
        let left_out = match entry.kind.as_str() {
            "EXTENSION" => {
                let wanted = extension(entry.definition.as_bytes());
                self.extensions.push(wanted.unwrap_or(RequestedExtension { name: entry.tag, schema: None }));
                return;
            }
            "COMMENT" if entry.tag.starts_with("EXTENSION ") => return,
            "COMMENT" if entry.tag.starts_with("EVENT TRIGGER ") => return,
            "COMMENT" if entry.tag.starts_with("SUBSCRIPTION ") => return,
            "EVENT TRIGGER" => Some(("EVENT TRIGGER", EVENT_TRIGGER_REASON)),
            "SUBSCRIPTION" => Some(("SUBSCRIPTION", SUBSCRIPTION_REASON)),
            "SUBSCRIPTION TABLE" => return,
            "SECURITY LABEL" => Some(("SECURITY LABEL", SECURITY_LABEL_REASON)),
            // Only Postgres 18 can take them, and the target makes its own.
            "STATISTICS DATA" => return,
            "PUBLICATION" if matches!(treat(entry.definition.as_bytes()), Treatment::LeaveOut(..)) => {
                Some(("PUBLICATION", PUBLICATION_REASON))
            }
            "PUBLICATION TABLES IN SCHEMA" => Some(("PUBLICATION", PUBLICATION_REASON)),
            _ => None,
        };
        if let Some((kind, reason)) = left_out {
            self.left_out.entry(kind).or_insert((0, reason)).0 += 1;
            return;
        }
        let blob = ["BLOB", "BLOBS"].contains(&entry.kind.as_str());
        self.by_statements |= entry.data != Data::None && entry.copy.is_empty() && !blob;
        if entry.kind == "TABLE" {
            self.table_names.push((entry.schema.clone(), entry.tag.clone()));
        }
        match (entry.kind.as_str(), &entry.data) {
            ("TABLE DATA", data) => {
                // Its size is known when all offsets are.
                let size = if let Data::At(offset) = data { *offset } else { 0 };
                self.tables.push(TableData { name: format!("{}.{}", entry.schema, entry.tag), id: entry.id, size });
            }
            ("INDEX" | "CONSTRAINT", _) => self.indexes += 1,
            _ => {}
        }
        if entry.kind == "SCHEMA" {
            schemas.push((entry.id, entry.tag.clone()));
        }
        if entry.kind == "POLICY" {
            self.roles.extend(policy_roles(entry.definition.as_bytes()));
        }
        self.entries.push(entry.id);
    }

    /// The plan for a plain dump.
    pub(super) fn of_script(found: Contents) -> Self {
        Self {
            extensions: found.extensions.into_iter().map(|(wanted, _)| wanted).collect(),
            roles: found.policy_roles,
            entries: Vec::new(),
            refusal: None,
            by_statements: false,
            table_names: Vec::new(),
            tables: Vec::new(),
            indexes: 0,
            script_tables: found.tables_with_data,
            handwritten: !found.by_pg_dump,
            left_out: found.left_out,
        }
    }

    /// Learns the sizes of the tables in a custom archive of this length, in bytes: each ends
    /// where the next one begins.
    pub(super) fn measure_custom(&mut self, length: u64) {
        let mut offsets: Vec<u64> = self.tables.iter().map(|table| table.size).collect();
        offsets.push(length);
        offsets.sort_unstable();
        for table in &mut self.tables {
            let next = offsets.partition_point(|offset| *offset <= table.size);
            table.size = offsets.get(next).map_or(0, |next| next - table.size);
        }
    }

    /// Learns the sizes of the tables in a directory archive.
    pub(super) fn measure_directory(&mut self, folder: &Path) {
        for table in &mut self.tables {
            table.size = std::fs::metadata(folder.join(format!("{}.dat", table.id))).map_or(0, |about| about.len());
        }
    }

    /// Whether a schema is made before the dump is loaded, so that the dump must not.
    pub(super) fn makes_schema(&self, name: &str) -> bool {
        name == "public" || self.extensions.iter().any(|wanted| wanted.schema.as_deref() == Some(name))
    }

    /// The list of entries for `pg_restore -L`.
    pub(super) fn restore_list(&self) -> String {
        self.entries.iter().fold(String::new(), |mut list, id| {
            use std::fmt::Write;
            let _ = writeln!(list, "{id};"); // writing to a string does not fail
            list
        })
    }

    /// What is left out, as the job's result tells it.
    pub(super) fn left_out(&self) -> Vec<LeftOut> {
        let marker_prefix = |(kind, (count, reason)): (&&str, &(u64, &str))| LeftOut {
            kind: (*kind).to_owned(),
            count: *count,
            reason: (*reason).to_owned(),
        };
        self.left_out.iter().map(marker_prefix).collect()
    }
}
