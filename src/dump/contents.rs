use super::Format;
use super::archive::Compression;
use super::sql::Unfinished;
use super::statement::RequestedExtension;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a dump holds, as far as an import must know. Its size does not grow with the dump's.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The format.
    pub format: Format,
    /// Version of the archive format; `None` for plain dumps.
    pub archive_version: Option<(u8, u8)>,
    /// How an archive's data is compressed; `None` for plain dumps.
    pub compression: Option<Compression>,
    /// Version of the server that was dumped; empty when the dump does not tell.
    pub server_version: String,
    /// Version of the `pg_dump` that wrote it; empty when the dump does not tell.
    pub dump_version: String,
    /// Length of the dump in bytes, unpacked when it came compressed.
    pub size: u64,
    /// Objects by kind (`tables`).
    pub objects: BTreeMap<&'static str, u64>,
    /// Rows, where the format tells.
    pub rows: Option<u64>,
    /// Tables that bring data.
    pub tables_with_data: u64,
    /// Tables and partitions that could.
    pub tables_for_data: u64,
    /// Extensions that it creates, with the place.
    pub extensions: Vec<(RequestedExtension, DumpLocation)>,
    /// Schemas that it creates.
    pub schemas: BTreeSet<String>,
    /// Roles that its policies name.
    pub policy_roles: Vec<String>,
    /// Objects that an import leaves out, with how many and why.
    pub left_out: BTreeMap<&'static str, (u64, &'static str)>,
    /// What a report speaks of, by subject (a role, a setting, a schema).
    pub findings: BTreeMap<Finding, BTreeMap<String, Occurrences>>,
    /// Foreign keys into schemas that may be a platform's: constraint, table, target.
    pub platform_keys: Vec<(String, String, String)>,
    /// The first thing that cannot be part of an import: its place, and why.
    pub refusal: Option<(DumpLocation, String)>,
    /// What a plain dump ends in the middle of.
    pub unfinished: Option<Unfinished>,
    /// Why the dump is known to be incomplete.
    pub cut_off: Option<String>,
    /// A plain dump that begins as `pg_dump` begins its own.
    pub by_pg_dump: bool,
    /// Written by `pg_dumpall`.
    pub whole_server: bool,
    /// The furthest offset of data in an archive, in bytes.
    pub(super) furthest: u64,
    /// Length of a number in an archive, sign included, in bytes.
    pub(super) number_length: usize,
    /// Tables that it makes, as hashes of their names.
    pub(super) tables: HashSet<u64>,
}

/// Where in a dump something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpLocation {
    /// A line of a plain dump, from 1.
    Line(u64),
    /// An entry of an archive, as `pg_restore -l` numbers them.
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

/// What a report speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An object is owned by a role.
    Owner,
    /// A privilege is granted to or taken from a role.
    Grant,
    /// Default privileges of or for a role.
    DefaultPrivileges,
    /// `SET ROLE`, `SET SESSION AUTHORIZATION`.
    SetRole,
    /// `SET` of a setting.
    Setting,
    /// A command of psql other than the two that pg_dump writes.
    PsqlCommand,
    /// `COPY` with a program or a file of the server.
    ServerFile,
    /// `CREATE ROLE`, `CREATE DATABASE` and the like.
    ServerObject,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`.
    Transaction,
    /// Anything else that cannot be part of an import.
    Refused,
    /// An event trigger.
    EventTrigger,
    /// A publication of everything.
    Publication,
    /// A subscription.
    Subscription,
    /// A foreign-data wrapper, foreign server or foreign table.
    Foreign,
    /// A user mapping, which holds a password.
    UserMapping,
    /// Large objects.
    LargeObject,
    /// A foreign key that leads to a table that is not in the dump, by that table.
    DanglingKey,
    /// A foreign key into a schema that may be a platform's, by schema.
    PlatformKey,
    /// A policy that uses a schema that may be a platform's, by schema.
    PlatformPolicy,
    /// A function in a language that only a superuser may use.
    Language,
    /// Triggers are switched off while data loads.
    TriggersOff,
    /// Rows as `INSERT` statements.
    Inserts,
    /// A zero byte in a plain dump.
    ZeroByte,
}

/// How often something was seen, and where first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first places, with a few words of what stands there.
    pub first: Vec<String>,
}

/// Places that are kept of one subject.
const PLACES: usize = 3;
/// Subjects that are kept of one finding: no honest dump has more, and memory stays bounded.
const SUBJECTS: usize = 500;
/// Longer names and subjects are cut, in bytes.
const LONGEST_NAME: usize = 200;
/// Foreign keys into platforms that are kept.
const KEYS: usize = 200;
/// The most names that are kept.
const NAMES: usize = 10_000;
/// The most tables that are remembered.
const TABLES: usize = 250_000;

impl Contents {
    /// Notes something. `place` is asked for only while places are still kept.
    pub(super) fn note(&mut self, finding: Finding, subject: &str, place: impl FnOnce() -> (DumpLocation, String)) {
        self.note_many(finding, subject, 1, place);
    }

    /// Notes several of a kind that begin at one place.
    pub(super) fn note_many(
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

    pub(super) fn leave_out(&mut self, kind: &'static str, reason: &'static str) {
        self.left_out.entry(kind).or_insert((0, reason)).0 += 1;
    }

    pub(super) fn add_table(&mut self, schema: &str, name: &str) {
        if self.tables.len() < TABLES {
            self.tables.insert(hash(schema, name));
        }
    }

    /// Whether the dump makes a table, as far as it was read; yes when it has too many to know.
    pub(super) fn may_make_table(&self, schema: &str, name: &str) -> bool {
        self.tables.len() >= TABLES || self.tables.contains(&hash(schema, name))
    }

    /// Everything that was seen of a finding.
    pub fn seen(&self, finding: Finding) -> impl Iterator<Item = (&str, &Occurrences)> {
        self.findings.get(&finding).into_iter().flatten().map(|(subject, seen)| (subject.as_str(), seen))
    }

    /// How often something was found, over all subjects.
    pub fn times(&self, finding: Finding) -> u64 {
        self.seen(finding).map(|(_, seen)| seen.count).sum()
    }

    /// How many objects of a kind there are.
    pub fn number(&self, kind: &str) -> u64 {
        self.objects.get(kind).copied().unwrap_or_default()
    }

    /// Roles that owners, privileges and policies name.
    pub fn roles(&self) -> BTreeSet<&str> {
        let findings = [Finding::Owner, Finding::Grant, Finding::DefaultPrivileges, Finding::SetRole];
        findings.into_iter().flat_map(|finding| self.seen(finding)).map(|(role, _)| role).collect()
    }
}

/// A name as far as it is kept: Postgres itself keeps 63 bytes.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(LONGEST_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn hash(schema: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (schema, name).hash(&mut hasher);
    hasher.finish()
}
