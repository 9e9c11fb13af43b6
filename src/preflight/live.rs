//! Grades a live source inspected from this machine: the checks of every source, and those that need
//! a direct connection.

use super::{EXTENSIONS, Limits, check, fixed, grade, names, plural, with_evidence};
use crate::platforms::PLATFORMS;
use crate::source::local_risks::LocalRisks;
use crate::wire::{Check, CheckStatus, Preflight, Replication, SourceFacts};
use CheckStatus::{Fail, Pass, Warn};

/// Grades a source, and the risks of dumping it.
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

fn readable(risks: &LocalRisks) -> Check {
    let name = "source_readable";
    let role = &risks.role;
    if !risks.closed_schemas.is_empty() {
        let schemas = risks.closed_schemas.join(", ");
        let what = check(
            name,
            Fail,
            format!(
                "the role {role} has no USAGE privilege on {}",
                count(risks.closed_schemas.len(), "schema", "schemas")
            ),
        );
        let fix = format!(
            "run as the owner: GRANT USAGE ON SCHEMA {schemas} TO \"{role}\"; GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO \"{role}\""
        );
        return with_evidence(fixed(what, fix), risks.closed_schemas.iter().take(5).cloned().collect());
    }
    if risks.unreadable.is_empty() {
        return check(name, Pass, format!("the role {role} can read all tables and sequences"));
    }
    let what = check(
        name,
        Fail,
        format!(
            "the role {role} has no SELECT privilege on {}",
            count(risks.unreadable.len(), "table or sequence", "tables and sequences")
        ),
    );
    let shown: Vec<&str> = risks.unreadable.iter().take(5).map(String::as_str).collect();
    let fix = format!("run as the owner: GRANT SELECT ON {} TO \"{role}\"; or use the owner's URL", shown.join(", "));
    with_evidence(fixed(what, fix), risks.unreadable.iter().take(5).cloned().collect())
}

fn rows_visible(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "row security hides rows of {} from the role {}, so pg_dump fails",
            count(number, "table", "tables"),
            risks.role
        )
    };
    none_of(
        "all_rows_visible",
        Fail,
        &risks.hidden_rows,
        what,
        "use the URL of a role with BYPASSRLS, or of the tables' owner unless FORCE ROW LEVEL SECURITY is set",
    )
}

fn platform_schemas(source: &SourceFacts) -> Check {
    let name = "no_platform_schemas";
    let platform = PLATFORMS.iter().find(|platform| Some(platform.id) == source.provider.as_deref());
    let Some(platform) = platform else { return check(name, Pass, "no platform schemas found".into()) };
    if source.provider_schemas.is_empty() {
        return check(name, Pass, format!("no schemas of the {} platform", platform.name));
    }
    let schemas = names(source.provider_schemas.iter().map(String::as_str));
    let what = check(name, Warn, format!("contains schemas of the {} platform: {schemas}", platform.name));
    // The application may use the extensions in this schema.
    let own = source.provider_schemas.iter().filter(|schema| *schema != "extensions");
    let exclude: Vec<String> = own.take(4).map(|schema| format!("-N {schema}")).collect();
    let fix = format!(
        "these schemas are imported but unused; to exclude them, import a dump: pg_dump -Fc {}",
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
            "{} the platform's schemas",
            count(number, "foreign key or policy references", "foreign keys and policies reference")
        )
    };
    none_of(
        "no_platform_references",
        Warn,
        &all,
        what,
        "before the cutover, replace the users table and functions like auth.uid(), or drop these references",
    )
}

fn superuser_objects(source: &SourceFacts) -> Check {
    let what = |number| format!("skipped (require superuser): {}", count(number, "event trigger", "event triggers"));
    none_of("no_superuser_objects", Warn, &source.event_triggers, what, "check that the application does not need them")
}

fn large_objects(risks: &LocalRisks) -> Check {
    let name = "large_objects";
    if risks.large_objects == 0 {
        return check(name, Pass, "none".into());
    }
    let what = check(
        name,
        Warn,
        format!("{}, imported one by one", plural(risks.large_objects, "large object", "large objects")),
    );
    fixed(what, "expect a slower import; remove orphaned objects with vacuumlo first")
}

fn unlogged(risks: &LocalRisks) -> Check {
    let what = |number| format!("{}: emptied after a server crash", count(number, "unlogged table", "unlogged tables"));
    none_of(
        "no_unlogged_tables",
        Warn,
        &risks.unlogged,
        what,
        "to make the tables durable: ALTER TABLE … SET LOGGED (their rows are imported either way)",
    )
}

fn indexes_valid(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{} left by an interrupted CREATE INDEX CONCURRENTLY",
            count(number, "invalid index", "invalid indexes")
        )
    };
    none_of(
        "indexes_valid",
        Warn,
        &risks.invalid_indexes,
        what,
        "run REINDEX INDEX or DROP INDEX first: rows that violate a unique index make the import fail",
    )
}

fn constraints_validated(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{}: existing rows may violate them",
            count(number, "constraint is NOT VALID", "constraints are NOT VALID")
        )
    };
    none_of(
        "constraints_validated",
        Warn,
        &risks.unvalidated,
        what,
        "to validate the rows: ALTER TABLE … VALIDATE CONSTRAINT (the constraints are imported as NOT VALID)",
    )
}

fn collations_current(risks: &LocalRisks) -> Check {
    let what = |number| {
        format!(
            "{}: text indexes of the source may be corrupt",
            count(number, "collation has a different version", "collations have a different version")
        )
    };
    none_of(
        "collations_current",
        Warn,
        &risks.collations,
        what,
        "run REINDEX, then ALTER DATABASE … REFRESH COLLATION VERSION on the source; otherwise unique indexes may fail",
    )
}

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
