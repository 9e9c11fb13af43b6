//! Grades a live source: the checks of every source, and those of what a dump of it can miss.

mod database;
mod limits;
mod objects;
mod ownership;
mod rights;
mod rows;

pub use database::{COLLATION, SETTINGS, divide_settings, settings_left_out};
pub use limits::KNOWN_ENCODING;
pub(super) use ownership::row_security_of;
pub use ownership::{DEFINER_RIGHTS, ROW_SECURITY};
pub use rows::rows_left_out;

use super::{EXTENSIONS, Limits, check, fixed, grade, names, plural, with_evidence};
use crate::source::risks::{Collation, SourceRisks};
use crate::wire::{Check, CheckStatus, Preflight, Replication, SourceFacts};
use CheckStatus::{Fail, Pass, Warn};

/// What is known about the target of an import.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// Whether the target is replaced; `None` if not yet decided.
    pub recreate: Option<bool>,
    /// Whether the target has tables.
    pub has_tables: bool,
    /// Kinds and names of its objects, if they are known; none if it is replaced.
    pub names: Option<Vec<String>>,
    /// Whether the source comes as a dump, which has no properties of its database.
    pub from_dump: bool,
    /// Whether an empty source may replace it.
    pub allow_empty: bool,
    /// How it sorts text.
    pub collation: Option<Collation>,
    /// Whether its server can make a database that sorts text as the source does.
    pub can_sort_like_source: bool,
}

/// Grades a source for an import.
pub fn grade_source(source: SourceFacts, risks: &SourceRisks, limits: &Limits, target: &TargetFacts) -> Preflight {
    let mut found = grade(source, limits);
    for one in found.checks.iter_mut().filter(|check| check.name == EXTENSIONS) {
        let users = |name: &String| limits.extensions.iter().all(|known| known != name);
        let blocked = risks.extension_users.iter().filter(|(name, _)| one.status == Pass || users(name));
        one.evidence = blocked
            .take(8)
            .map(|(name, users)| format!("{name} is used by {}", names(users.iter().map(String::as_str))))
            .collect();
    }
    let source = &found.source;
    let more = [
        not_empty(risks, target),
        names_free(risks, target),
        rights::readable(risks),
        rights::rows_visible(risks),
        rows::all_rows_included(risks),
        ownership::row_security(risks),
        ownership::definer_rights(risks),
        objects::superuser_objects(source, risks, limits),
        objects::functions_find_their_tables(risks),
        limits::locks(risks),
        limits::row_length(risks),
        limits::encoding(risks),
        database::settings(risks, limits, target),
        database::collation(risks, target),
        objects::platform_schemas(source),
        objects::platform_references(source),
        rows::large_objects(risks),
        rows::unlogged(risks),
        rows::indexes_valid(risks),
        rows::constraints_validated(risks),
        objects::collations_current(risks),
        replication(source.replication.as_ref()),
    ];
    found.checks.extend(more);
    found.ok = found.checks.iter().all(|check| check.status != Fail);
    found
}

/// Fails if the target of an import in place has an object of the same name; warns if the kind of import
/// is not decided. Schemas may exist.
fn names_free(risks: &SourceRisks, target: &TargetFacts) -> Check {
    let name = NAMES_FREE;
    let Some(existing) = &target.names else {
        return check(name, Pass, "the objects of the target are not known here".into());
    };
    let existing: std::collections::BTreeSet<&String> = existing.iter().collect();
    let taken: Vec<String> = risks.names.iter().filter(|object| existing.contains(object)).cloned().collect();
    if taken.is_empty() {
        return check(name, Pass, "no object of the source exists on the target".into());
    }
    let number = count(taken.len(), "object exists already", "objects exist already");
    let what = format!("{number} on the target: {}", names(taken.iter().take(5).map(String::as_str)));
    let fix = "import with --recreate to replace the target's contents, or rename or drop these objects there";
    let status = if target.recreate == Some(false) { Fail } else { Warn };
    with_evidence(fixed(check(name, status, what), fix), taken.into_iter().take(10).collect())
}

/// Fails if an empty source would replace a target that has tables.
fn not_empty(risks: &SourceRisks, target: &TargetFacts) -> Check {
    let name = "source_not_empty";
    if !risks.is_empty() {
        return check(name, Pass, format!("{} in the database", plural(risks.tables, "table", "tables")));
    }
    let replaces = target.recreate == Some(true) && target.has_tables && !target.allow_empty;
    let database = crate::util::format::printable(&risks.database, 63);
    let loss = if replaces { ", and would replace a target that has tables" } else { "" };
    let what = check(name, if replaces { Fail } else { Warn }, format!("the database {database} is empty{loss}"));
    let fix = match risks.other_databases.first() {
        Some(other) => format!(
            "name the right database at the end of the URL: …/{}; to import an empty database: --allow-empty",
            crate::util::format::printable(other, 63)
        ),
        None => "check the database at the end of the URL; to import an empty database: --allow-empty".to_owned(),
    };
    let others = risks.other_databases.iter().take(8);
    let others = others.map(|other| format!("the database {} has tables", crate::util::format::printable(other, 63)));
    with_evidence(fixed(what, fix), others.collect())
}

/// A check that passes if a list is empty, and otherwise shows its first items.
fn none_of(name: &str, status: CheckStatus, list: &[String], what: impl FnOnce(usize) -> String, fix: &str) -> Check {
    if list.is_empty() {
        return check(name, Pass, "none".into());
    }
    with_evidence(fixed(check(name, status, what(list.len())), fix), list.iter().take(5).cloned().collect())
}

fn count(number: usize, one: &str, many: &str) -> String {
    plural(number as u64, one, many)
}

/// Name of the check of names that exist on the target of an import in place.
pub(super) const NAMES_FREE: &str = "names_free_on_target";

/// Name of the check of the requirements for logical replication.
pub const REPLICATION: &str = "replication_ready";

/// An import does not need replication; only a migration with near-zero downtime does.
fn replication(found: Option<&Replication>) -> Check {
    let name = REPLICATION;
    let Some(found) = found else { return check(name, Pass, "not checked".into()) };
    if found.ready {
        return check(name, Pass, "ready for logical replication".into());
    }
    let what = check(
        name,
        Warn,
        format!(
            "ready to import; not ready for logical replication: {}",
            names(found.blockers.iter().map(String::as_str))
        ),
    );
    fixed(what, "for replication only: wal_level = logical, a free replication slot, and a role with REPLICATION")
}
