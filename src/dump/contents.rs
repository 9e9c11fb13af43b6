//! The contents of a dump, as collected for an import and its report.

use super::Format;
use super::archive::Compression;
use super::search_path::OpenFunction;
use super::sql::Unfinished;
use super::statement::granted_roles;
use super::treatment::RequestedExtension;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an import needs to know of a dump. Bounded in size, however large the dump is.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a dump")]
pub struct Contents {
    /// The format.
    pub format: Format,
    /// Version of the archive format; `None` for plain dumps.
    pub archive_version: Option<(u8, u8)>,
    /// How an archive's data is compressed; `None` for plain dumps.
    pub compression: Option<Compression>,
    /// Version of the dumped server; empty if the dump does not name it.
    pub server_version: String,
    /// Version of `pg_dump`; empty if the dump does not name it.
    pub dump_version: String,
    /// Length in bytes, decompressed.
    pub size: u64,
    /// Number of objects by kind (`tables`).
    pub objects: BTreeMap<&'static str, u64>,
    /// Number of rows, if the format shows it.
    pub rows: Option<u64>,
    /// Number of tables with data.
    pub tables_with_data: u64,
    /// Number of tables and partitions created.
    pub tables_for_data: u64,
    /// Extensions that it creates, with their locations.
    pub extensions: Vec<(RequestedExtension, DumpLocation)>,
    /// Extensions that it uses, each with the schema that it names and the first location.
    pub(super) used_extensions: BTreeMap<&'static str, (Option<String>, DumpLocation)>,
    /// Names of extension objects that the dump defines itself.
    pub(super) own_names: BTreeSet<String>,
    /// Number of databases that a plain dump creates.
    pub databases: u64,
    /// The first `DROP DATABASE`, which `pg_dump --create --clean` writes before the `CREATE`.
    pub(super) dropped_database: Option<(DumpLocation, String)>,
    /// Publications that it creates.
    pub(super) publications: BTreeSet<String>,
    /// Schemas that it creates.
    pub schemas: BTreeSet<String>,
    /// Roles that its policies name.
    pub policy_roles: Vec<String>,
    /// Objects that an import skips, by kind: how many, and why.
    pub left_out: BTreeMap<&'static str, (u64, &'static str)>,
    /// Findings by subject (a role, a setting, a schema).
    pub findings: BTreeMap<Finding, BTreeMap<String, Occurrences>>,
    /// Foreign keys into possible platform schemas: constraint, table, target.
    pub platform_keys: Vec<(String, String, String)>,
    /// The first statement or entry that cannot be imported, and why.
    pub refusal: Option<(DumpLocation, String)>,
    /// The construct that is open at the end of a plain dump.
    pub unfinished: Option<Unfinished>,
    /// Why the dump is truncated.
    pub truncated: Option<String>,
    /// A plain dump with the header comment of `pg_dump`.
    pub by_pg_dump: bool,
    /// The encoding that the dump declares last; empty if it declares none.
    pub encoding: String,
    /// The first text that is not in the declared encoding: location, and what is invalid.
    pub invalid_text: Option<(DumpLocation, String)>,
    /// The first row of a `COPY` with too many or too few fields: location, and what is wrong.
    pub invalid_row: Option<(DumpLocation, String)>,
    /// A plain dump that must run in one transaction, because rows rely on deferred constraints.
    pub one_transaction: bool,
    /// A plain dump that loads rows with triggers and foreign keys off (`session_replication_role`).
    pub sets_replication_role: bool,
    /// Number of `DO` and `CALL` statements in a plain dump: their code may create tables.
    pub code_blocks: u64,
    /// The grants on objects: the roles, and the statement.
    pub grants: Vec<(Vec<String>, String)>,
    /// Written by `pg_dumpall`.
    pub whole_server: bool,
    /// The highest data offset in an archive, in bytes.
    pub(super) furthest: u64,
    /// Length of an integer in an archive in bytes, including the sign.
    pub(super) number_length: usize,
    /// Created tables, as hashes of their names.
    pub(super) tables: HashSet<u64>,
    /// It drops objects, or creates tables only if they do not exist: tables of the same name may exist.
    pub(super) tolerates_existing: bool,
    /// Created functions, as hashes of their names.
    pub(super) functions: HashSet<u64>,
    /// Created tables and functions, as hashes of their names without a schema.
    pub(super) names: HashSet<u64>,
    /// Objects that it creates with a schema, as hashes of their names.
    pub(super) created_names: HashSet<u64>,
    /// Objects that it uses, as `schema` and name, and that the part read so far does not create.
    pub(super) used_names: BTreeMap<(String, String), (DumpLocation, String)>,
    /// Functions without a search path of their own, and views.
    pub(super) open_functions: BTreeMap<String, OpenFunction>,
    /// Functions that indexes call, and materialized views, with the first location.
    pub(super) built_calls: BTreeMap<String, (DumpLocation, String)>,
}

/// A location in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpLocation {
    /// A line of a plain dump, from 1.
    Line(u64),
    /// An entry of an archive, with its number in `pg_restore -l`.
    Entry(i32),
}

impl fmt::Display for DumpLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(id) => write!(f, "entry {id}"),
        }
    }
}

/// A kind of finding in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Ownership of an object by a role.
    Owner,
    /// A privilege granted to or revoked from a role.
    Grant,
    /// Default privileges of or for a role.
    DefaultPrivileges,
    /// `SET ROLE`, `SET SESSION AUTHORIZATION`.
    SetRole,
    /// `SET` of a setting.
    Setting,
    /// A psql command other than the two that pg_dump writes.
    PsqlCommand,
    /// `COPY` with a program or file on the server.
    ServerFile,
    /// `CREATE DATABASE`, `ALTER SYSTEM` and the like.
    ServerObject,
    /// `CREATE ROLE`, `ALTER ROLE` and the like.
    Role,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`.
    Transaction,
    /// Anything else that cannot be imported.
    Refused,
    /// An event trigger.
    EventTrigger,
    /// A publication of all tables or a schema.
    Publication,
    /// A subscription.
    Subscription,
    /// A foreign-data wrapper, foreign server or foreign table.
    Foreign,
    /// A user mapping, which holds a password.
    UserMapping,
    /// Large objects.
    LargeObject,
    /// A foreign key to a table missing from the dump, by that table.
    MissingReference,
    /// A foreign key into a possible platform schema, by schema.
    PlatformKey,
    /// A policy that uses a possible platform schema, by schema.
    PlatformPolicy,
    /// An object that only a superuser can create, or that the target cannot have, by reason.
    Superuser,
    /// A schema that the dump drops with everything in it.
    DroppedSchema,
    /// A schema that the dump uses but does not create, by name.
    MissingSchema,
    /// An object that the dump uses but does not create, by name.
    MissingName,
    /// A trigger function that the dump does not create, by name.
    MissingFunction,
    /// A column of a system view that a later version removed, as `view.column`.
    RemovedColumn,
    /// A `CHECK` that calls a function, by table.
    CheckFunction,
    /// Row-level security, by table.
    RowSecurity,
    /// Row-level security that applies to the owner too, by table.
    ForcedRowSecurity,
    /// Triggers disabled while data loads.
    DisabledTriggers,
    /// Rows as `INSERT` statements.
    Inserts,
    /// A zero byte in a plain dump.
    ZeroByte,
}

/// How often a subject was found, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occurrences {
    /// Number of occurrences.
    pub count: u64,
    /// The first locations, each with an excerpt.
    pub first: Vec<String>,
}

/// Locations kept per subject.
const PLACES: usize = 3;
/// Subjects kept per finding. Bounds memory; real dumps have fewer.
const SUBJECTS: usize = 500;
/// Length in bytes to which names and subjects are truncated.
const MAX_NAME: usize = 200;
/// Foreign keys into platform schemas kept.
const KEYS: usize = 200;
/// Names kept per list.
pub(super) const NAMES: usize = 10_000;
/// Created tables kept.
pub(super) const TABLES: usize = 250_000;

impl Contents {
    /// Records a finding. `place` is called only while locations are kept.
    pub(super) fn record(&mut self, finding: Finding, subject: &str, place: impl FnOnce() -> (DumpLocation, String)) {
        self.record_many(finding, subject, 1, place);
    }

    /// Records `count` findings that begin at one location.
    pub(super) fn record_many(
        &mut self,
        finding: Finding,
        subject: &str,
        count: u64,
        place: impl FnOnce() -> (DumpLocation, String),
    ) {
        let subject = cut(subject);
        let subjects = self.findings.entry(finding).or_default();
        if !subjects.contains_key(subject) {
            if subjects.len() >= SUBJECTS {
                return;
            }
            subjects.insert(subject.to_owned(), Occurrences::default());
        }
        let Some(seen) = subjects.get_mut(subject) else { return };
        seen.count += count;
        if seen.first.len() < PLACES {
            let (place, words) = place();
            seen.first.push(format!("{place}: {}", crate::util::format::printable(&words, 120)));
        }
    }

    pub(super) fn count(&mut self, kind: &'static str) {
        *self.objects.entry(kind).or_default() += 1;
    }

    pub(super) fn add_extension(&mut self, wanted: RequestedExtension, place: DumpLocation) {
        if self.extensions.len() < NAMES {
            let wanted = RequestedExtension {
                name: cut(&wanted.name).to_owned(),
                schema: wanted.schema.map(|schema| cut(&schema).to_owned()),
            };
            self.extensions.push((wanted, place));
        }
    }

    pub(super) fn add_policy_roles(&mut self, roles: Vec<String>) {
        let room = NAMES.saturating_sub(self.policy_roles.len());
        self.policy_roles.extend(roles.into_iter().take(room).map(|role| cut(&role).to_owned()));
    }

    /// Whether the dump has no objects and no rows.
    pub fn is_empty(&self) -> bool {
        let rows = self.tables_with_data + self.times(Finding::Inserts);
        self.tables_for_data == 0 && self.objects.is_empty() && rows == 0
    }

    /// Keeps a `GRANT`; statements of other kinds are ignored.
    pub(super) fn add_grant(&mut self, text: &[u8]) {
        if self.grants.len() < NAMES
            && let Some(roles) = granted_roles(text).filter(|roles| !roles.is_empty())
        {
            self.grants.push((roles, String::from_utf8_lossy(text).into_owned()));
        }
    }

    pub(super) fn add_schema(&mut self, name: &str) {
        if self.schemas.len() < NAMES {
            self.schemas.insert(cut(name).to_owned());
        }
    }

    pub(super) fn add_platform_key(&mut self, constraint: &str, table: &str, target: &str) {
        if self.platform_keys.len() < KEYS {
            let key = (cut(constraint).to_owned(), cut(table).to_owned(), cut(target).to_owned());
            self.platform_keys.push(key);
        }
    }

    /// Records the use of an extension's type, function or operator class.
    pub(super) fn use_extension(&mut self, extension: &'static str, schema: Option<String>, place: DumpLocation) {
        let known = |schema: &String| {
            super::extension_use::COMMON_SCHEMAS.contains(&schema.as_str()) || self.schemas.contains(schema)
        };
        if schema.as_ref().is_none_or(known) {
            self.used_extensions.entry(extension).or_insert((schema, place));
        }
    }

    /// Records that the dump defines an object of a name that an extension also defines.
    pub(super) fn add_own_name(&mut self, name: &str) {
        if super::extension_use::is_extension_name(name) {
            self.own_names.insert(name.to_owned());
        }
    }

    /// The extensions that the dump uses without creating them.
    pub fn missing_extensions(&self) -> impl Iterator<Item = (RequestedExtension, DumpLocation)> {
        let missing = self.used_extensions.iter().filter(|(name, _)| {
            !self.extensions.iter().any(|(created, _)| created.name == **name)
                && !super::extension_use::defines(name, &self.own_names)
        });
        missing.map(|(name, (schema, place))| {
            (RequestedExtension { name: (*name).to_owned(), schema: schema.clone() }, *place)
        })
    }

    /// The extensions that an import must create: those that the dump creates, and those that it uses.
    pub fn all_extensions(&self) -> Vec<RequestedExtension> {
        let created = self.extensions.iter().map(|(requested, _)| requested.clone());
        created.chain(self.missing_extensions().map(|(requested, _)| requested)).collect()
    }

    pub(super) fn skip_object(&mut self, kind: &'static str, reason: &'static str) {
        self.left_out.entry(kind).or_insert((0, reason)).0 += 1;
    }

    pub(super) fn add_table(&mut self, schema: &str, name: &str) {
        self.add_name(name);
        if self.tables.len() < TABLES {
            self.tables.insert(hash(schema, name));
        }
    }

    /// Those of some tables, as schema and name, that the dump creates and that must not exist.
    pub fn creates<'a>(&self, tables: &'a [(String, String)]) -> Vec<&'a (String, String)> {
        if self.tolerates_existing {
            return Vec::new();
        }
        let is_created = |(schema, name): &(String, String)| {
            self.tables.contains(&hash(schema, name)) || (schema == "public" && self.tables.contains(&hash("", name)))
        };
        tables.iter().filter(|table| is_created(table)).collect()
    }

    pub(super) fn add_open_function(&mut self, function: OpenFunction) {
        if self.open_functions.len() < NAMES {
            self.open_functions.insert(function.name.clone(), function);
        }
    }

    pub(super) fn add_built_call(&mut self, function: String, place: DumpLocation, shown: &str) {
        if self.built_calls.len() < NAMES {
            self.built_calls.entry(function).or_insert_with(|| (place, cut(shown).to_owned()));
        }
    }

    /// Records the name of a type, which functions may use without its schema.
    pub(super) fn add_type(&mut self, name: &str) {
        self.add_name(name);
    }

    fn add_name(&mut self, name: &str) {
        if self.names.len() < TABLES {
            self.names.insert(hash("", name));
        }
    }

    pub(super) fn add_function(&mut self, schema: &str, name: &str) {
        self.add_name(name);
        if self.functions.len() < TABLES {
            self.functions.insert(hash(schema, name));
        }
    }

    /// Whether the part of the dump read so far creates a function; true if it has too many to track.
    pub(super) fn may_create_function(&self, schema: &str, name: &str) -> bool {
        self.functions.len() >= TABLES || self.functions.contains(&hash(schema, name))
    }

    /// Whether a schema exists in every database, or the part of the dump read so far creates it.
    pub(super) fn may_have_schema(&self, schema: &str) -> bool {
        const EVERYWHERE: [&str; 4] = ["", "public", "pg_catalog", "information_schema"];
        EVERYWHERE.contains(&schema)
            || schema.starts_with("pg_temp")
            || self.schemas.len() >= NAMES
            || self.schemas.contains(cut(schema))
            || self.extensions.iter().any(|(wanted, _)| wanted.schema.as_deref() == Some(schema))
    }

    /// Whether the part of the dump read so far creates a table; true if it has too many to track.
    pub(super) fn may_create_table(&self, schema: &str, name: &str) -> bool {
        self.tables.len() >= TABLES || self.tables.contains(&hash(schema, name))
    }

    /// The subjects of a finding, with their occurrences.
    pub fn seen(&self, finding: Finding) -> impl Iterator<Item = (&str, &Occurrences)> {
        self.findings.get(&finding).into_iter().flatten().map(|(subject, seen)| (subject.as_str(), seen))
    }

    /// Number of occurrences of a finding, over all subjects.
    pub fn times(&self, finding: Finding) -> u64 {
        self.seen(finding).map(|(_, seen)| seen.count).sum()
    }

    /// Number of objects of a kind.
    pub fn number(&self, kind: &str) -> u64 {
        self.objects.get(kind).copied().unwrap_or_default()
    }

    /// Roles named by owners, privileges and `SET ROLE`.
    pub fn roles(&self) -> BTreeSet<&str> {
        let findings = [Finding::Owner, Finding::Grant, Finding::DefaultPrivileges, Finding::SetRole];
        findings.into_iter().flat_map(|finding| self.seen(finding)).map(|(role, _)| role).collect()
    }
}

/// A name, truncated to [`MAX_NAME`] bytes; Postgres itself keeps 63.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

pub(super) fn hash(schema: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (schema, name).hash(&mut hasher);
    hasher.finish()
}
