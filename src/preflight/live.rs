//! Grades a live source that was looked at from this machine: the three checks of every
//! source, and those that need a closer look.

use super::{EXTENSIONS, Limits, check, fixed, grade, names, plural, with_evidence};
use crate::platforms::PLATFORMS;
use crate::source::local_risks::LocalRisks;
use crate::wire::{Check, CheckStatus, Preflight, Replication, SourceFacts};
use CheckStatus::{Fail, Pass, Warn};

/// Grades a source and what could go wrong with a dump of it.
pub fn grade_local(source: SourceFacts, risks: &LocalRisks, limits: &Limits) -> Preflight {
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
        readable(risks),
        rows_visible(risks),
        platform_schemas(source),
        platform_references(source),
        superuser_objects(source),
        large_objects(risks),
        unlogged(risks),
        indexes_valid(risks),
        constraints_validated(risks),
        collations_current(risks),
        replication(source.replication.as_ref()),
    ];
    found.checks.extend(more);
    found.ok = found.checks.iter().all(|check| check.status != Fail);
    found
}

/// A check that passes when a list is empty, and else tells its first names.
fn none_of(name: &str, status: CheckStatus, list: &[String], what: impl FnOnce(usize) -> String, fix: &str) -> Check {
    if list.is_empty() {
        return check(name, Pass, "nothing found".into());
    }
    with_evidence(fixed(check(name, status, what(list.len())), fix), list.iter().take(5).cloned().collect())
}

fn count(number: usize, one: &str, many: &str) -> String {
    plural(number as u64, one, many)
}

fn readable(risks: &LocalRisks) -> Check {
    let name = "source_readable";
    let role = &risks.role;
    if !risks.closed_schemas.is_empty() {
        let schemas = risks.closed_schemas.join(", ");
        let what = check(
            name,
            Fail,
            format!("the role {role} may not use {}", count(risks.closed_schemas.len(), "schema", "schemas")),
        );
        let fix = format!(
            "as the owner: GRANT USAGE ON SCHEMA {schemas} TO \"{role}\"; GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO \"{role}\""
        );
        return with_evidence(fixed(what, fix), risks.closed_schemas.iter().take(5).cloned().collect());
    }
    if risks.unreadable.is_empty() {
        return check(name, Pass, format!("the role {role} may read every table and sequence"));
    }
    let what = check(
        name,
        Fail,
        format!(
            "the role {role} may not read {}",
            count(risks.unreadable.len(), "table or sequence", "tables and sequences")
        ),
    );
    let shown: Vec<&str> = risks.unreadable.iter().take(5).map(String::as_str).collect();
    let fix = format!("as the owner: GRANT SELECT ON {} TO \"{role}\"; or use the owner's URL", shown.join(", "));
    with_evidence(fixed(what, fix), risks.unreadable.iter().take(5).cloned().collect())
}

fn rows_visible(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "row security hides rows of {} from the role {}, and pg_dump stops there",
            count(number, "table", "tables"),
            risks.role
        )
    };
    none_of(
        "all_rows_visible",
        Fail,
        &risks.hidden_rows,
        what,
        "use the URL of the tables' owner or of a role with BYPASSRLS; with FORCE ROW LEVEL SECURITY only the latter works",
    )
}

fn platform_schemas(source: &SourceFacts) -> Check {
    let name = "no_platform_schemas";
    let platform = PLATFORMS.iter().find(|platform| Some(platform.id) == source.provider.as_deref());
    let Some(platform) = platform else { return check(name, Pass, "no provider's platform is seen".into()) };
    if source.provider_schemas.is_empty() {
        return check(name, Pass, format!("from {}, without the schemas of its platform", platform.name));
    }
    let schemas = names(source.provider_schemas.iter().map(String::as_str));
    let what = check(name, Warn, format!("schemas of {}'s platform are in it: {schemas}", platform.name));
    // Extensions live there, which the application uses.
    let own = source.provider_schemas.iter().filter(|schema| *schema != "extensions");
    let exclude: Vec<String> = own.take(4).map(|schema| format!("-N {schema}")).collect();
    let fix = format!(
        "they come along as ordinary schemas that nothing serves; to leave them out, import a dump: pg_dump -Fc {}",
        exclude.join(" ")
    );
    with_evidence(fixed(what, fix), source.provider_signals.iter().take(5).cloned().collect())
}

fn platform_references(source: &SourceFacts) -> Check {
    let keys = source
        .provider_auth_fks
        .iter()
        .map(|key| format!("{} on {} to {}", key.constraint, key.source_table, key.target_table));
    let policies = source.provider_auth_policy_tables.iter().map(|table| format!("policy on {table}"));
    let all: Vec<String> = keys.chain(policies).collect();
    let what = |number| {
        format!(
            "{} into the platform's schemas",
            count(number, "foreign key or policy reaches", "foreign keys and policies reach")
        )
    };
    none_of(
        "no_platform_references",
        Warn,
        &all,
        what,
        "the application must bring its own users table and functions such as auth.uid(); drop or rewrite these before the switch",
    )
}

fn superuser_objects(source: &SourceFacts) -> Check {
    let what = |number| {
        format!("left out, for only a superuser can make them: {}", count(number, "event trigger", "event triggers"))
    };
    none_of(
        "no_superuser_objects",
        Warn,
        &source.event_triggers,
        what,
        "make sure that the application does not need them",
    )
}

fn large_objects(risks: &LocalRisks) -> Check {
    let name = "large_objects";
    if risks.large_objects == 0 {
        return check(name, Pass, "none".into());
    }
    let what = check(
        name,
        Warn,
        format!("{}: they come along, one by one", plural(risks.large_objects, "large object", "large objects")),
    );
    fixed(what, "expect a slower import; remove orphans with vacuumlo first")
}

fn unlogged(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{}: a crash of the server empties them, there as here",
            count(number, "unlogged table", "unlogged tables")
        )
    };
    none_of(
        "no_unlogged_tables",
        Warn,
        &risks.unlogged,
        what,
        "their rows come along; ALTER TABLE … SET LOGGED if they should be safe",
    )
}

fn indexes_valid(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{} that an interrupted CREATE INDEX CONCURRENTLY left behind",
            count(number, "invalid index", "invalid indexes")
        )
    };
    none_of(
        "indexes_valid",
        Warn,
        &risks.invalid_indexes,
        what,
        "the import builds them anew, which fails where rows contradict a unique index: REINDEX INDEX or DROP INDEX before",
    )
}

fn constraints_validated(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!("{}: rows may contradict them", count(number, "constraint is NOT VALID", "constraints are NOT VALID"))
    };
    none_of(
        "constraints_validated",
        Warn,
        &risks.unvalidated,
        what,
        "they come along as NOT VALID; ALTER TABLE … VALIDATE CONSTRAINT tells whether the rows are right",
    )
}

fn collations_current(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{}: text indexes of the source may be out of order",
            count(number, "collation has changed its version", "collations have changed their version")
        )
    };
    none_of(
        "collations_current",
        Warn,
        &risks.collations,
        what,
        "the import sorts anew, which may show duplicates in unique indexes; REINDEX on the source, then ALTER DATABASE … REFRESH COLLATION VERSION",
    )
}

/// Name of the check of what a follower needs.
pub const REPLICATION: &str = "replication_ready";

/// Only a later move with almost no downtime needs it.
fn replication(found: Option<&Replication>) -> Check {
    let name = REPLICATION;
    let Some(found) = found else { return check(name, Pass, "not looked at".into()) };
    if found.ready {
        return check(name, Pass, "the source can be followed".into());
    }
    let what = check(
        name,
        Warn,
        format!(
            "an import works, following the source would not: {}",
            names(found.blockers.iter().map(String::as_str))
        ),
    );
    fixed(
        what,
        "nothing to do for an import; to follow: wal_level = logical, a free replication slot, a role with REPLICATION",
    )
}
