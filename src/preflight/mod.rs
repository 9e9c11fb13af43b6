//! Grades a source or dump against the limits of its target. Pure functions, one per check, used by
//! the preflight call and by the worker.

mod dump;
mod extensions;
mod fix_hints;
mod live;

pub use dump::{
    APPLICATION_ROLES, CHECKS_TARGET, ExistingTables, FILTERS_PLAIN_SQL, ImportMode, SETS_REPLICATION_ROLE, SOURCE_CA,
    SOURCE_ENCODING, grade_dump, unreadable,
};
pub use extensions::{ALLOWED_EXTENSIONS, EXTENSIONS};
pub use fix_hints::fix_hint;
pub use live::{
    COLLATION, DEFINER_RIGHTS, KNOWN_ENCODING, REPLICATION, ROW_SECURITY, SETTINGS, TargetFacts, divide_settings,
    grade_source, rows_left_out, settings_left_out,
};

use crate::util::format::{bytes, major};
use crate::wire::{Check, CheckStatus, Preflight, SourceFacts};
use extensions::extensions_available;
use postgres_protocol::escape::escape_identifier;

/// Name of the size check.
pub const SIZE: &str = "source_size_within_plan";
/// Name of the version check.
pub const VERSION: &str = "source_version_compatible";

/// Default Postgres major version of targets, if the control plane does not report one.
pub const TARGET_MAJOR: u32 = 17;

/// The limits of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The plan limit in bytes; zero if unknown.
    pub storage_limit_bytes: u64,
    /// Major version of the target (`17`).
    pub target_version: String,
    /// Available extensions; `plpgsql` is always available.
    pub extensions: Vec<String>,
}

/// Grades a source against the limits of its target.
pub fn grade(source: SourceFacts, limits: &Limits) -> Preflight {
    let checks = vec![
        size_within_plan(source.database_size_bytes, limits.storage_limit_bytes),
        version_compatible(&source.server_version, &limits.target_version),
        extensions_available(&source.extensions, &limits.extensions),
    ];
    report(checks, source, limits)
}

fn report(checks: Vec<Check>, source: SourceFacts, limits: &Limits) -> Preflight {
    Preflight {
        ok: checks.iter().all(|check| check.status != CheckStatus::Fail),
        checks,
        source,
        storage_limit_bytes: limits.storage_limit_bytes,
        target_version: limits.target_version.clone(),
    }
}

/// The failed checks in one line; `None` if no check failed.
pub fn failure(report: &Preflight) -> Option<String> {
    let failed: Vec<String> = report
        .checks
        .iter()
        .filter(|check| check.status == CheckStatus::Fail)
        .map(|check| format!("{}: {}", check.name, check.detail.as_deref().unwrap_or("failed")))
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

/// Fails above the plan limit, warns above 80 % of it.
fn size_within_plan(size: u64, limit: u64) -> Check {
    if limit == 0 {
        return check(SIZE, CheckStatus::Pass, format!("{}; the plan limit is unknown", bytes(size)));
    }
    let status = if size > limit {
        CheckStatus::Fail
    } else if u128::from(size) * 5 > u128::from(limit) * 4 {
        CheckStatus::Warn
    } else {
        CheckStatus::Pass
    };
    let percent = u128::from(size) * 100 / u128::from(limit.max(1));
    check(SIZE, status, format!("{} of {} ({percent}% of the plan)", bytes(size), bytes(limit)))
}

/// Fails if the source's major version is newer than the target's or is invalid. Passes without a
/// version: SQL that was not written by `pg_dump` names none.
fn version_compatible(server_version: &str, target_version: &str) -> Check {
    if server_version.is_empty() {
        return check(VERSION, CheckStatus::Pass, "the dump does not name a server version".to_owned());
    }
    let shown = crate::util::format::printable(server_version, 60);
    let (Some(source), Some(target)) = (major(server_version), major(target_version)) else {
        return check(VERSION, CheckStatus::Fail, format!("invalid server version `{shown}`"));
    };
    if source > target {
        return check(
            VERSION,
            CheckStatus::Fail,
            format!("the source is Postgres {source}, the target is Postgres {target}"),
        );
    }
    check(VERSION, CheckStatus::Pass, format!("Postgres {source} into {target}"))
}

fn check(name: &str, status: CheckStatus, detail: String) -> Check {
    let fix = fix_hint(name, status).map(str::to_owned);
    Check { name: name.to_owned(), status, detail: Some(detail), evidence: Vec::new(), fix }
}

fn fixed(check: Check, fix: impl Into<String>) -> Check {
    Check { fix: Some(fix.into()), ..check }
}

fn with_evidence(check: Check, evidence: Vec<String>) -> Check {
    Check { evidence, ..check }
}

/// A list of names, for a sentence: the first 30, and the number of others.
fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.into_iter().filter(|name| !name.is_empty()).collect();
    let shown: Vec<String> = all.iter().take(30).map(|name| crate::util::format::printable(name, 63)).collect();
    let more = all.len().saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// `schema.name` as SQL, with quotes where they are needed.
fn sql_name(name: &str) -> String {
    let is_plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let quoted = |part: &str| if is_plain(part) { part.to_owned() } else { escape_identifier(part) };
    name.split_once('.').map_or_else(|| quoted(name), |(schema, name)| format!("{}.{}", quoted(schema), quoted(name)))
}

fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Extension;
    use proptest::prelude::*;

    fn facts(size: u64, version: &str, extensions: &[&str]) -> SourceFacts {
        let extension = |name: &&str| Extension { name: (*name).to_owned(), version: "1.0".to_owned() };
        SourceFacts {
            database_size_bytes: size,
            server_version: version.to_owned(),
            extensions: extensions.iter().map(extension).collect(),
            ..SourceFacts::default()
        }
    }

    fn limits(storage_limit_bytes: u64) -> Limits {
        let extensions = ALLOWED_EXTENSIONS.map(str::to_owned).to_vec();
        Limits { storage_limit_bytes, target_version: "17".into(), extensions }
    }

    fn statuses(facts: SourceFacts) -> (bool, Vec<CheckStatus>) {
        let report = grade(facts, &limits(1000));
        (report.ok, report.checks.iter().map(|check| check.status).collect())
    }

    #[test]
    fn checks_are_graded_as_the_contract_requires() {
        use CheckStatus::{Fail, Pass, Warn};
        assert_eq!(statuses(facts(800, "15.18", &["plpgsql", "vector"])), (true, vec![Pass, Pass, Pass]));
        assert_eq!(statuses(facts(801, "17.11", &[])), (true, vec![Warn, Pass, Pass]));
        assert_eq!(statuses(facts(1000, "9.6.24", &[])), (true, vec![Warn, Pass, Pass]));
        assert_eq!(statuses(facts(1001, "18.6", &["isn"])), (false, vec![Fail, Fail, Fail]));
        assert_eq!(statuses(facts(0, "garbage", &[])), (false, vec![Pass, Fail, Pass]));
    }

    #[test]
    fn an_extension_missing_on_the_target_is_reported() {
        let hstore_only = Limits { extensions: vec!["hstore".into()], ..limits(1000) };
        let report = grade(facts(1, "15", &["plpgsql", "hstore", "postgis"]), &hstore_only);
        assert_eq!(report.checks[2].detail.as_deref(), Some("not available on the target: postgis"));
    }

    #[test]
    fn a_failure_lists_every_extension() {
        let report = grade(facts(1, "15", &["isn", "hstore", "tablefunc"]), &limits(1000));
        assert_eq!(
            failure(&report).as_deref(),
            Some("extensions_available_on_target: not available on the target: isn, tablefunc")
        );
    }

    proptest! {
        #[test]
        fn ok_means_that_no_check_failed(size: u64, version in "\\PC{0,20}", name in "\\PC{0,20}") {
            let report = grade(facts(size, &version, &[&name]), &limits(u64::MAX / 2));
            prop_assert_eq!(report.ok, failure(&report).is_none());
        }
    }
}
