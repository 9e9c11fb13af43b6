//! The report of a preflight: problems, facts about the source, verdict.

use super::report::{checks, with_separators};
use super::table::aligned;
use crate::preflight::REPLICATION;
use crate::util::format::{bytes, printable};
use crate::wire::{Check, CheckStatus, DumpFacts, Preflight, SourceFacts};
use console::style;

/// The problems, a count of what passed or all of it, the facts about the source, and the verdict.
pub(in crate::cli) fn preflight(report: &Preflight, with_passed: bool) -> String {
    // An import does not need replication.
    let checks_shown = || report.checks.iter().filter(|check| with_passed || check.name != REPLICATION);
    let with = |status: CheckStatus| checks_shown().filter(move |check| check.status == status);
    let mut shown: Vec<Check> = with(CheckStatus::Fail).chain(with(CheckStatus::Warn)).cloned().collect();
    let passed = with(CheckStatus::Pass).count();
    if with_passed {
        shown.extend(with(CheckStatus::Pass).cloned());
    }
    let mut parts = vec![checks(&shown)];
    if !with_passed && passed > 0 {
        let other = if shown.is_empty() { "" } else { "other " };
        let checks = if passed == 1 { "check" } else { "checks" };
        parts.push(format!("{passed} {other}{checks} passed (-v lists them)"));
    }
    // Without facts, the source could not be read.
    if report.source != SourceFacts::default() {
        let title = if report.source.dump.is_some() { "Dump" } else { "Source" };
        parts.push(format!("{title}\n{}", facts(report)));
    }
    parts.push(verdict(with(CheckStatus::Fail).count(), with(CheckStatus::Warn).count()));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn verdict(failed: usize, warned: usize) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let text = match (failed, warned) {
        (0, 0) => style("Passed".to_owned()).green(),
        (0, _) => style(format!("Passed with {}", count(warned, "warning"))).yellow(),
        (_, 0) => style(format!("Failed: {}", count(failed, "problem"))).red(),
        (_, _) => style(format!("Failed: {}, {}", count(failed, "problem"), count(warned, "warning"))).red(),
    };
    text.bold().to_string()
}

fn facts(report: &Preflight) -> String {
    let source = &report.source;
    let names = |names: &[String]| printable(&names.join(", "), 300);
    let extensions: Vec<String> =
        source.extensions.iter().map(|found| format!("{} {}", found.name, found.version).trim().to_owned()).collect();
    let server = Some(printable(&source.server_version, 100)).filter(|version| !version.is_empty());
    let limit = match report.storage_limit_bytes {
        0 => "plan limit unknown".to_owned(),
        limit => format!("{} plan limit", bytes(limit)),
    };
    let mut rows: Vec<(&str, String)> = source.dump.as_ref().map(dump).unwrap_or_default();
    rows.extend([
        ("server", server.map_or_else(String::new, |version| format!("Postgres {version}"))),
        ("size", bytes(source.database_size_bytes)),
        ("extensions", names(&extensions)),
        ("schemas", names(&source.app_schemas)),
        ("provider", source.provider.as_deref().map_or_else(String::new, |name| printable(name, 60))),
        ("platform schemas", names(&source.provider_schemas)),
        ("event triggers", names(&source.event_triggers)),
        ("target", format!("Postgres {}, {limit}", printable(&report.target_version, 20))),
    ]);
    if !source.provider_auth_fks.is_empty() {
        let keys: Vec<String> = source.provider_auth_fks.iter().map(|key| key.constraint.clone()).collect();
        rows.push(("keys to platform", names(&keys)));
    }
    if !source.provider_auth_policy_tables.is_empty() {
        rows.push(("platform policies", names(&source.provider_auth_policy_tables)));
    }
    if let Some(replication) = &source.replication {
        let state =
            if replication.ready { "ready".to_owned() } else { format!("not ready: {}", names(&replication.blockers)) };
        rows.push(("replication", state));
    }
    let last_event = rows.into_iter().filter(|(_, value)| !value.is_empty());
    aligned(&last_event.map(|(name, value)| vec![format!("  {name}"), value]).collect::<Vec<_>>())
}

/// The facts about a dump, as names and values.
fn dump(found: &DumpFacts) -> Vec<(&'static str, String)> {
    let mut format = format!("{} format", printable(&found.format, 20));
    if let Some(version) = &found.archive_version {
        let compression = found.compression.as_deref().unwrap_or("none");
        let (version, compression) = (printable(version, 20), printable(compression, 20));
        format = format!("{format}, archive version {version}, compression {compression}");
    }
    if let Some(packed) = &found.packed {
        format = format!("{format}, {} in {}", bytes(found.file_size_bytes), printable(packed, 20));
    }
    let tool = Some(printable(&found.dump_version, 100)).filter(|tool| !tool.is_empty());
    let objects: Vec<String> = found
        .objects
        .iter()
        .map(|(kind, number)| format!("{} {}", printable(kind, 40), with_separators(*number)))
        .collect();
    vec![
        ("dump", format),
        ("by", tool.map_or_else(String::new, |tool| format!("pg_dump {tool}"))),
        ("objects", objects.join(", ")),
        ("rows", found.rows.map(with_separators).unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Extension;

    #[test]
    fn a_preflight_report_is_readable() {
        let source = SourceFacts {
            server_version: "18.6".into(),
            database_size_bytes: 900 << 20,
            extensions: vec![Extension { name: "isn".into(), version: "1.2".into() }],
            app_schemas: vec!["public".into(), "shop".into()],
            ..SourceFacts::default()
        };
        let limits = crate::preflight::Limits {
            storage_limit_bytes: 1 << 30,
            target_version: "17".into(),
            extensions: Vec::new(),
        };
        insta::assert_snapshot!(preflight(&crate::preflight::grade(source, &limits), false));
    }

    #[test]
    fn the_verdict_counts_problems_and_warnings() {
        let verdicts = [verdict(0, 0), verdict(0, 1), verdict(1, 0), verdict(2, 3)];
        let plain = verdicts.map(|text| console::strip_ansi_codes(&text).into_owned());
        assert_eq!(plain, ["Passed", "Passed with 1 warning", "Failed: 1 problem", "Failed: 2 problems, 3 warnings"]);
    }
}
