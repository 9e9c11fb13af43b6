//! Human-readable reports: checks, jobs, projects, imports.

use super::next_steps::next_steps;
use super::table::{aligned, aligned_on, unwrapped};
use crate::preflight::fix_hint;
use crate::util::format::bytes;
use crate::util::format::printable;
use crate::wire::{
    Check, CheckStatus, ErrorClass, ImportError, ImportProgress, ImportSummary, Job, JobState, Preflight, Project,
};
use console::{StyledObject, style};
use std::time::Duration;

/// Maximum length of a fix in characters. A command must not be cut.
const MAX_FIX: usize = 20_000;

fn status_text(status: CheckStatus) -> StyledObject<&'static str> {
    let word = style(status.as_str()).bold();
    match status {
        CheckStatus::Pass => word.green(),
        CheckStatus::Warn => word.yellow(),
        CheckStatus::Fail => word.red(),
    }
}

/// The rows of a check: name, verdict and detail, then evidence and fix.
fn lines(check: &Check, status_text: &StyledObject<&'static str>, rows: &mut Vec<Vec<String>>) {
    let detail = printable(check.detail.as_deref().unwrap_or(""), 500);
    rows.push(vec![printable(&check.name, 60), status_text.to_string(), detail]);
    if check.status == CheckStatus::Pass {
        return;
    }
    let below = |text: String| vec![String::new(), String::new(), text];
    rows.extend(check.evidence.iter().map(|place| below(format!("· {}", printable(place, 200)))));
    // The hosted service sends no fixes.
    let fix = check.fix.as_deref().or_else(|| fix_hint(&check.name, check.status));
    rows.extend(fix.map(|fix| below(format!("→ {}", printable(fix, MAX_FIX)))));
}

/// Checks as a table, with fixes.
pub(in crate::cli) fn checks(checks: &[Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        lines(check, &status_text(check.status), &mut rows);
    }
    aligned(&rows)
}

/// Rows with aligned columns.
pub(in crate::cli) fn rows(rows: &[Vec<String>]) -> String {
    aligned(rows)
}

/// Failed checks and warnings as a table for standard error; empty if all checks passed.
pub(in crate::cli) fn problems(report: &Preflight) -> String {
    let mut rows = Vec::new();
    for check in report.checks.iter().filter(|check| check.status != CheckStatus::Pass) {
        lines(check, &status_text(check.status).for_stderr(), &mut rows);
    }
    aligned_on(&console::Term::stderr(), &rows)
}

/// Names and values, indented.
pub(in crate::cli) fn pairs(rows: &[(&str, &str)]) -> String {
    aligned(&rows.iter().map(|(name, value)| vec![format!("  {name}"), (*value).to_owned()]).collect::<Vec<_>>())
}

/// A heading.
pub(in crate::cli) fn title(text: &str) -> String {
    style(text).bold().to_string()
}

/// The display name of a project: slug, else name, else id.
pub(in crate::cli) fn label(project: &Project) -> &str {
    [&project.slug, &project.name, &project.id].into_iter().find(|text| !text.is_empty()).map_or("", String::as_str)
}

/// A project: state, size and limits.
pub(in crate::cli) fn project(project: &Project) -> String {
    let version = project.postgres_version.as_deref().map(|version| format!("Postgres {}", printable(version, 20)));
    let limit = Some(project.storage_limit_bytes).filter(|limit| *limit > 0).map(bytes);
    let size = match (project.database_size_bytes.map(bytes), limit) {
        (Some(size), Some(limit)) => format!("{size} of {limit}"),
        (Some(size), None) => size,
        (None, limit) => limit.map_or_else(String::new, |limit| format!("at most {limit}")),
    };
    let rows = [
        ("Project", printable(&project.name, 60)),
        ("Slug", printable(&project.slug, 60)),
        ("State", printable(&project.state, 20)),
        ("Server", version.unwrap_or_default()),
        ("Size", size),
        ("Environment", printable(&project.environment, 40)),
        ("Id", printable(&project.id, 60)),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    aligned(&rows.map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())
}

/// Projects as a table.
pub(in crate::cli) fn projects(projects: &[Project]) -> String {
    if projects.is_empty() {
        return "No projects yet. Create one with: capydb projects create NAME".to_owned();
    }
    let mut rows = vec![["SLUG", "NAME", "STATE", "POSTGRES", "PLAN LIMIT", "ID"].map(str::to_owned).to_vec()];
    rows.extend(projects.iter().map(|project| {
        let limit = if project.storage_limit_bytes == 0 { String::new() } else { bytes(project.storage_limit_bytes) };
        vec![
            printable(&project.slug, 60),
            printable(&project.name, 60),
            printable(&project.state, 20),
            printable(project.postgres_version.as_deref().unwrap_or(""), 20),
            limit,
            printable(&project.id, 60),
        ]
    }));
    aligned(&rows)
}

fn state(state: JobState) -> String {
    let word = style(state.as_str());
    match state {
        JobState::Completed => word.green(),
        JobState::Failed => word.red(),
        JobState::Pending | JobState::Running | JobState::Unknown => word.yellow(),
    }
    .to_string()
}

/// Jobs as a table.
pub(in crate::cli) fn jobs(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs".to_owned();
    }
    let mut rows = vec![["ID", "TYPE", "STATE", "CREATED", "ERROR"].map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        vec![
            printable(&job.id, 60),
            printable(&job.kind, 30),
            state(job.state),
            printable(&job.created_at, 30),
            printable(job.error.as_deref().unwrap_or(""), 80),
        ]
    }));
    aligned(&rows)
}

/// A job with all its details.
pub(in crate::cli) fn job(job: &Job) -> String {
    let mut rows: Vec<(&str, String)> = vec![
        ("job", printable(&job.id, 60)),
        ("type", printable(&job.kind, 30)),
        ("state", state(job.state)),
        ("attempts", format!("{} of {}", job.attempts, job.max_attempts)),
        ("created", printable(&job.created_at, 40)),
    ];
    let mut known = |name: &'static str, value: Option<&String>, longest: usize| {
        rows.extend(value.map(|value| (name, printable(value, longest))));
    };
    known("started", job.started_at.as_ref(), 40);
    known("completed", job.completed_at.as_ref(), 40);
    known("error", job.error.as_ref(), 1000);
    known("retry", job.retry_classification.as_ref(), 40);
    let mut text = aligned(&rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>());
    if let Some(summary) = job.import_summary().filter(|_| job.state == JobState::Completed) {
        text = format!("{text}\n{}", aligned(&imported(&summary)));
    }
    if let Some(running) = job.import_progress().filter(|_| job.state == JobState::Running) {
        text = format!("{text}\nprogress  {}", progress(&running));
    }
    let errors = job.import_errors();
    for error in &errors {
        text = format!("{text}\n{}", import_error(error));
        if let Some(fix) = &error.fix {
            text = format!("{text}\n  → {}", printable(fix, 300));
        }
    }
    let stderr = job.last_stderr.as_deref().filter(|stderr| !stderr.is_empty() && errors.is_empty());
    if let Some(stderr) = stderr {
        let lines = crate::util::format::tail(stderr, 4000);
        let shown: Vec<String> = lines.lines().map(|line| format!("  | {line}")).collect();
        text = format!("{text}\nstderr\n{}", shown.join("\n"));
    }
    text
}

/// The details of an import error, as indented lines.
pub(in crate::cli) fn import_error(error: &ImportError) -> String {
    let mut rows = vec![("impact if excluded", error.class.description().to_owned())];
    rows.retain(|_| error.class != ErrorClass::Fatal);
    rows.extend(error.sqlstate.as_deref().map(|code| ("code", printable(code, 20))));
    rows.extend(error.entry.as_deref().map(|entry| ("entry", printable(entry, 200))));
    rows.extend(error.line.map(|line| ("line", line.to_string())));
    rows.extend(error.cause.as_deref().map(|cause| ("cause", printable(cause, 300))));
    aligned(&rows.into_iter().map(|(name, value)| vec![format!("  {name}"), value]).collect::<Vec<_>>())
}

/// The progress of an import, in one line.
pub(in crate::cli) fn progress(progress: &ImportProgress) -> String {
    let of = |done: Option<u64>, total: Option<u64>, what: &str| match (done, total) {
        (Some(done), Some(total)) if total > 0 => {
            Some(format!("{what} {} of {}", with_separators(done), with_separators(total)))
        }
        _ => None,
    };
    let size = match (progress.bytes_done, progress.bytes_total) {
        (Some(done), Some(total)) if total > 0 => Some(format!("{} of {}", bytes(done), bytes(total))),
        (Some(done), None) => Some(bytes(done)),
        _ => None,
    };
    let left = progress
        .seconds_left
        .map(|seconds| format!("{} left", humantime::format_duration(Duration::from_secs(seconds))));
    let parts = [
        Some(capitalised(&printable(&progress.phase, 20))),
        size,
        of(progress.tables_done, progress.tables_total, "tables"),
        of(progress.indexes_done, progress.indexes_total, "indexes"),
        progress.rows.map(|rows| format!("{} rows", with_separators(rows))),
        progress.bytes_per_second.map(|rate| format!("{}/s", bytes(rate))),
        left,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The result of an import that was started without `--wait`.
pub(in crate::cli) fn started(job: &Job, project: &Project) -> String {
    format!(
        "Started import job {} of project {}.\nWait for the job with: capydb jobs wait {}",
        job.id,
        label(project),
        job.id
    )
}

/// The result of a completed job; for an import, with the next steps.
pub(in crate::cli) fn ended(job: &Job, project: Option<&Project>) -> String {
    if job.kind != crate::wire::PROJECT_IMPORT {
        return format!("Job {} completed.", job.id);
    }
    let place = match project {
        Some(project) => format!("Imported into project {}.", label(project)),
        None => format!("Import job {} completed.", job.id),
    };
    let imported = aligned(&imported(&job.import_summary().unwrap_or_default()));
    let imported = if imported.is_empty() { imported } else { format!("{imported}\n") };
    // The job has only the project's id, which `--project` accepts too.
    let project = project.map(label).or(job.project_id.as_deref()).unwrap_or_default();
    format!("{}\n{imported}\nNext steps\n{}", style(place).bold(), checklist(project))
}

fn imported(summary: &ImportSummary) -> Vec<Vec<String>> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.extend(summary.database_size_bytes.map(|size| ("size", bytes(size))));
    rows.extend(summary.tables.map(|tables| ("tables", with_separators(tables))));
    rows.extend(summary.rows.map(|count| ("rows", with_separators(count))));
    rows.extend(summary.duration_seconds.map(|seconds| ("duration", format!("{seconds:.1} s"))));
    if !summary.extensions.is_empty() {
        rows.push(("extensions", printable(&summary.extensions.join(", "), 300)));
    }
    for left in &summary.left_out {
        rows.push(("skipped", printable(&format!("{} × {}: {}", left.count, left.kind, left.reason), 200)));
    }
    for warning in &summary.warnings {
        rows.push(("warning", printable(warning.detail.as_deref().unwrap_or(&warning.name), 300)));
        rows.extend(warning.evidence.iter().take(10).map(|place| ("", format!("· {}", printable(place, 200)))));
        rows.extend(warning.fix.iter().map(|fix| ("", format!("→ {}", printable(fix, 300)))));
    }
    rows.into_iter().map(|(name, value)| vec![format!("  {name}"), value]).collect()
}

/// The steps after an import, numbered.
fn checklist(project: &str) -> String {
    let steps = next_steps(Some(project)).into_iter().enumerate();
    let row = |(at, (title, command))| vec![format!("  {}. {title}", at + 1), command];
    unwrapped(&steps.map(row).collect::<Vec<_>>())
}

/// A number with thousands separators.
pub(super) fn with_separators(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LeftOut;

    #[test]
    fn an_import_report_is_readable() {
        let summary = ImportSummary {
            database_size_bytes: Some(12_345_678),
            tables: Some(15),
            rows: Some(1_234_567),
            duration_seconds: Some(1.8),
            extensions: vec!["hstore".into()],
            left_out: vec![LeftOut {
                kind: "EVENT TRIGGER".into(),
                count: 6,
                reason: "only a superuser can create them".into(),
            }],
            warnings: vec![Check {
                name: "row_security_applies".into(),
                status: CheckStatus::Warn,
                detail: Some("1 table has row security that does not apply to the project's role".into()),
                evidence: vec!["public.orders".into()],
                fix: Some("connect the application as a role that owns nothing".into()),
            }],
        };
        let job = Job {
            kind: crate::wire::PROJECT_IMPORT.into(),
            result: serde_json::to_value(summary).ok(),
            ..serde_json::from_str(r#"{"id":"j","state":"completed"}"#).expect("a job")
        };
        let project = Project { slug: "shop".into(), database_name: "shop_db".into(), ..Project::default() };
        insta::assert_snapshot!(ended(&job, Some(&project)));
    }

    #[test]
    fn an_import_report_without_details_is_readable() {
        let job = serde_json::from_str(r#"{"id":"j","type":"project.import","state":"completed","project_id":"p"}"#);
        insta::assert_snapshot!(ended(&job.expect("a job"), None));
    }

    #[test]
    fn thousands_are_separated_by_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(with_separators), ["0", "999", "1,000", "1,234,567"]);
    }
}
