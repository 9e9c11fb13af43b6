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

/// Settings that belong to the operation of the source, not to its data.
const OPERATIONAL: [&str; 3] = ["default_transaction_read_only", "role", "session_authorization"];

/// The settings of the source's database that an import can set on the target, and those that it cannot.
/// A setting of the connecting role applies to the database, because that role does not exist there.
pub fn divide_settings(risks: &SourceRisks, target_major: u32) -> (Vec<&DatabaseSetting>, Vec<&DatabaseSetting>) {
    risks.settings.iter().partition(|setting| {
        let is_own = setting.role.as_ref().is_none_or(|role| *role == risks.role);
        is_own
            && !OPERATIONAL.contains(&setting.name.as_str())
            && support(&setting.name, target_major) == SettingSupport::Yes
    })
}

/// The settings that are not carried over, for the report of an import.
pub fn settings_left_out(risks: &SourceRisks, target_major: u32, recreate: bool) -> Vec<LeftOut> {
    let (kept, lost) = divide_settings(risks, target_major);
    let lost = if recreate { lost } else { [lost, kept].concat() };
    let left_out = |setting: &&DatabaseSetting| LeftOut {
        kind: format!("SETTING {}", shown(setting)),
        count: 1,
        reason:
            "settings of other roles, of the server's operation, and those that need a superuser are not imported; \
                 nor are any without --recreate"
                .to_owned(),
    };
    lost.iter().map(left_out).collect()
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
    let in_place = target.recreate == Some(false);
    let (kept, lost) = if in_place { (Vec::new(), [lost, kept].concat()) } else { (kept, lost) };
    let list = |settings: &[&DatabaseSetting]| names(settings.iter().map(|setting| setting.name.as_str()));
    if lost.is_empty() {
        return check(SETTINGS, Pass, format!("carried over: {}", list(&kept)));
    }
    let carried = if kept.is_empty() { String::new() } else { format!("; carried over: {}", list(&kept)) };
    let what = check(SETTINGS, Warn, format!("not carried over: {}{carried}", list(&lost)));
    let fix = "if the application needs them, after the import: ALTER DATABASE … SET name = value";
    with_evidence(fixed(what, fix), lost.iter().take(8).map(|setting| shown(setting)).collect())
}

/// Warns if the target will sort text in another order.
pub(super) fn collation(risks: &SourceRisks, target: &TargetFacts) -> Check {
    let source = &risks.collation;
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
