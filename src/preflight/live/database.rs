//! Properties of the database itself, which a dump does not contain: settings and collation.

use super::super::{Limits, check, fixed, names, with_evidence};
use super::TargetFacts;
use crate::dump::settings::{SettingSupport, support};
use crate::source::risks::{DatabaseSetting, SourceRisks};
use crate::util::format::major;
use crate::wire::{Check, CheckStatus, LeftOut};
use CheckStatus::{Pass, Warn};

/// Name of the check of the database's settings.
pub const SETTINGS: &str = "database_settings_kept";

/// Name of the check of the database's collation.
pub const COLLATION: &str = "database_collation_kept";

/// Settings that say how an application's queries behave. Others concern the operation of a server, or can
/// make a database unusable where their library, file or tablespace does not exist.
const OF_APPLICATIONS: &str = "
    bytea_output client_min_messages constraint_exclusion cursor_tuple_fraction datestyle
    default_statistics_target default_text_search_config default_transaction_deferrable
    default_transaction_isolation effective_cache_size effective_io_concurrency extra_float_digits
    from_collapse_limit gin_fuzzy_search_limit hash_mem_multiplier idle_in_transaction_session_timeout
    idle_session_timeout intervalstyle jit join_collapse_limit lc_monetary lc_numeric lc_time lock_timeout
    maintenance_work_mem max_parallel_workers_per_gather plan_cache_mode random_page_cost search_path
    seq_page_cost statement_timeout timezone transaction_timeout work_mem xmlbinary xmloption";

/// Libraries and languages with settings of their own, which are not those of an application.
const LIBRARIES: [&str; 5] = ["auto_explain", "plperl", "plpgsql", "pltcl", "pg_hint_plan"];

/// The settings of the source's database that an import can set on the target, and those that it cannot.
/// A setting of the connecting role applies to the database, because that role does not exist there.
pub fn divide_settings(risks: &SourceRisks, target_major: u32) -> (Vec<&DatabaseSetting>, Vec<&DatabaseSetting>) {
    risks.settings.iter().partition(|setting| {
        let is_own = setting.role.as_ref().is_none_or(|role| *role == risks.role);
        let name = setting.name.to_ascii_lowercase();
        let of_extension = name.split_once('.').is_some_and(|(prefix, _)| {
            LIBRARIES.contains(&prefix) || super::super::ALLOWED_EXTENSIONS.contains(&prefix)
        });
        let is_of_applications =
            (name.contains('.') && !of_extension) || OF_APPLICATIONS.split_whitespace().any(|known| known == name);
        is_own && is_of_applications && support(&name, target_major) == SettingSupport::Yes
    })
}

/// The settings that are not carried over, for the report of an import.
pub fn settings_left_out(risks: &SourceRisks, target_major: u32, recreate: bool) -> Vec<LeftOut> {
    let (kept, lost) = divide_settings(risks, target_major);
    let kept = if recreate { Vec::new() } else { kept };
    let left_out = |setting: &&DatabaseSetting, reason: &str| LeftOut {
        kind: format!("SETTING {}", shown(setting)),
        count: 1,
        reason: reason.to_owned(),
    };
    let lost = lost.iter().map(|setting| match &setting.role {
        Some(role) if *role != risks.role => left_out(setting, "it is a setting of another role"),
        _ => left_out(setting, "only settings that concern queries are carried over"),
    });
    lost.chain(kept.iter().map(|setting| left_out(setting, "settings are carried over only with --recreate"))).collect()
}

fn shown(setting: &DatabaseSetting) -> String {
    match &setting.role {
        Some(role) => format!("{} of role {role}", setting.name),
        None => setting.name.clone(),
    }
}

/// Warns of settings of the database that the import does not carry over.
pub(super) fn settings(risks: &SourceRisks, limits: &Limits, target: &TargetFacts) -> Check {
    if risks.settings.is_empty() {
        return check(SETTINGS, Pass, "the database has no settings of its own".into());
    }
    let (kept, lost) = divide_settings(risks, major(&limits.target_version).unwrap_or(super::super::TARGET_MAJOR));
    let none_kept = target.recreate == Some(false) || target.from_dump;
    let (kept, lost) = if none_kept { (Vec::new(), [lost, kept].concat()) } else { (kept, lost) };
    let list = |settings: &[&DatabaseSetting]| names(settings.iter().map(|setting| setting.name.as_str()));
    if lost.is_empty() {
        let when = if target.recreate.is_none() { " with --recreate" } else { "" };
        return check(SETTINGS, Pass, format!("carried over{when}: {}", list(&kept)));
    }
    let carried = if kept.is_empty() { String::new() } else { format!("; carried over: {}", list(&kept)) };
    let what = check(SETTINGS, Warn, format!("not carried over: {}{carried}", list(&lost)));
    let fix = "if the application needs them, after the import: ALTER DATABASE … SET name = value";
    with_evidence(fixed(what, fix), lost.iter().take(8).map(|setting| shown(setting)).collect())
}

/// Warns if the target will sort text in another order.
pub(super) fn collation(risks: &SourceRisks, target: &TargetFacts) -> Check {
    let source = &risks.collation;
    if target.from_dump && !source.is_by_bytes() {
        let what = format!("the source sorts text by {source}, which a dump does not say");
        let fix = "if the order matters, import from the URL with --recreate, without --via-dump";
        return fixed(check(COLLATION, Warn, what), fix);
    }
    let Some(own) = &target.collation else {
        return check(
            COLLATION,
            Pass,
            format!("the source sorts text by {source}; the target's order is not known here"),
        );
    };
    if source.sorts_like(own) {
        return check(COLLATION, Pass, format!("source and target sort text by {own}"));
    }
    if target.can_sort_like_source && target.recreate != Some(false) {
        return check(COLLATION, Pass, format!("the target will sort text by {source}, as the source does"));
    }
    let indexes = super::count(risks.sorted_indexes.len(), "index", "indexes");
    let what = format!(
        "the source sorts text by {source}, the target by {own}: ORDER BY and ranges differ ({indexes} of text)"
    );
    let fix = if target.can_sort_like_source {
        "import with --recreate, which gives the target the source's collation".to_owned()
    } else {
        "where the order matters: ORDER BY column COLLATE \"…\", or columns with a collation of their own".to_owned()
    };
    let evidence = risks.sorted_indexes.iter().take(8).map(|name| format!("index {name}")).collect();
    with_evidence(fixed(check(COLLATION, Warn, what), fix), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_of_applications_are_carried_over() {
        let setting = |name: &str, role: Option<&str>| DatabaseSetting {
            role: role.map(str::to_owned),
            name: name.into(),
            value: "x".into(),
        };
        let settings = [
            "search_path",
            "TimeZone",
            "app.token",
            "local_preload_libraries",
            "row_security",
            "log_statement",
            "default_tablespace",
            "plpgsql.check_asserts",
            "pg_trgm.similarity_threshold",
        ];
        let mut settings: Vec<_> = settings.iter().map(|name| setting(name, None)).collect();
        settings.extend([setting("work_mem", Some("me")), setting("work_mem", Some("other"))]);
        let risks = SourceRisks { role: "me".into(), settings, ..SourceRisks::default() };
        let (kept, lost) = divide_settings(&risks, 17);
        let names: Vec<String> = kept.into_iter().map(shown).collect();
        assert_eq!(names, ["search_path", "TimeZone", "app.token", "work_mem of role me"]);
        assert_eq!(lost.len(), 7);
    }
}
