//! Objects that the target cannot have, or not fully.

use super::super::{Limits, check, fixed, names, with_evidence};
use super::{count, none_of};
use crate::dump::scan::scan;
use crate::dump::settings::{HARMLESS, SettingSupport, support};
use crate::platforms::PLATFORMS;
use crate::source::risks::SourceRisks;
use crate::util::format::major;
use crate::wire::{Check, CheckStatus, SourceFacts};
use CheckStatus::{Fail, Pass, Warn};

pub(super) fn platform_schemas(source: &SourceFacts) -> Check {
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
    let exclude: Vec<String> = own.map(|schema| format!("-N {schema}")).collect();
    let fix = format!(
        "these schemas are imported but unused; to exclude them, import a dump: pg_dump -Fc {}",
        exclude.join(" ")
    );
    with_evidence(fixed(what, fix), source.provider_signals.iter().take(5).cloned().collect())
}

pub(super) fn platform_references(source: &SourceFacts) -> Check {
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

/// Fails for functions of indexes and materialized views that rely on the search path, which is empty
/// when these are built.
pub(super) fn functions_find_their_tables(risks: &SourceRisks) -> Check {
    let script = std::io::Cursor::new(risks.definitions.clone().into_bytes());
    // Reading from memory does not fail.
    let found = scan(script, None, &[]).unwrap_or_default();
    let checked = super::super::dump::functions_find_their_tables(&found);
    let evidence = checked.evidence.iter().filter_map(|place| Some(place.split_once(": ")?.1.to_owned())).collect();
    let fix = checked.fix.map(|fix| fix.trim_end_matches("; then dump again").to_owned());
    Check { evidence, fix, ..checked }
}

/// Fails for objects that only a superuser can create; warns of those that the import leaves out.
pub(super) fn superuser_objects(source: &SourceFacts, risks: &SourceRisks, limits: &Limits) -> Check {
    let name = "no_superuser_objects";
    let major = major(&limits.target_version).unwrap_or(super::super::TARGET_MAJOR);
    // Whether a library defines `name.name` is known only when it is loaded.
    let needs_superuser = |setting: &str| {
        setting.contains('.')
            || (support(setting, major) == SettingSupport::SuperuserOnly && !HARMLESS.contains(&setting))
    };
    let functions = risks.function_settings.iter().filter(|found| needs_superuser(&found.setting));
    let functions = functions.map(|found| format!("function {}: sets {}", found.function, found.setting));
    let failing: Vec<String> = risks.superuser_objects.iter().cloned().chain(functions).collect();
    if !failing.is_empty() {
        let number = count(failing.len(), "object", "objects");
        let what = format!("{number} that only a superuser can create: {}", names(failing.iter().map(String::as_str)));
        let fix = "drop or replace these objects on the source, or import a dump without them";
        return with_evidence(fixed(check(name, Fail, what), fix), failing.into_iter().take(8).collect());
    }
    let triggers: Vec<String> =
        source.event_triggers.iter().map(|trigger| format!("event trigger {trigger}")).collect();
    let what = |number| format!("skipped (require superuser): {}", count(number, "event trigger", "event triggers"));
    none_of(name, Warn, &triggers, what, "check that the application does not need them")
}

pub(super) fn collations_current(risks: &SourceRisks) -> Check {
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
