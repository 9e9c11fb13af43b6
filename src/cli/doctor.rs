//! `capydb doctor`: diagnoses login, network and tools.

use super::context::{Context, DefaultProject};
use super::output::report;
use super::{CliError, ErrorKind};
use crate::cli::output::report::label;
use crate::config;
use crate::dump::spool;
use crate::source::pg_programs;
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use crate::wire::{Check, CheckStatus};
use serde_json::json;
use std::time::Instant;

fn check(name: &str, status: CheckStatus, detail: String) -> Check {
    Check { name: name.to_owned(), status, detail: Some(detail), evidence: Vec::new(), fix: None }
}

fn with_fix(check: Check, fix: &str) -> Check {
    Check { fix: Some(fix.to_owned()), ..check }
}

/// `capydb doctor`: runs all checks, even after a failed one.
pub(super) async fn doctor(context: &Context<'_>) -> Result<(), CliError> {
    let mut checks = vec![login_file(), service(context).await];
    // A key cannot be checked without the control plane.
    if checks[1].status != CheckStatus::Fail || context.api_key.is_none() {
        checks.extend(key_and_project(context).await);
    }
    checks.push(tools());
    checks.push(disk());
    context.output.text_result(&report::checks(&checks));
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.status == CheckStatus::Fail).map(|check| check.name.as_str()).collect();
    if !failed.is_empty() {
        let kind = if failed.contains(&"key") { ErrorKind::Auth } else { ErrorKind::Error };
        return Err(CliError::new(kind, format!("checks failed: {}", failed.join(", "))).with("checks", &checks));
    }
    context.output.json_result(|| json!({ "checks": checks }));
    Ok(())
}

fn login_file() -> Check {
    let name = "login_file";
    let Some(path) = config::login_path().filter(|path| path.exists()) else {
        return check(name, CheckStatus::Pass, "no saved login (optional)".into());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(&path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
        if open {
            let what = check(name, CheckStatus::Warn, format!("other users can read {}", path.display()));
            return with_fix(what, &format!("chmod 600 {}", path.display()));
        }
    }
    check(name, CheckStatus::Pass, path.display().to_string())
}

async fn service(context: &Context<'_>) -> Check {
    let name = "control_plane";
    let at = format!("{} ({})", context.api_url, context.api_url_from);
    let started = Instant::now();
    let answer = match context.anonymous() {
        Ok(api) => api.status().await.map_err(|error| error.message),
        Err(failure) => Err(failure.message),
    };
    match answer {
        Ok(status) => {
            let took = started.elapsed().as_millis();
            let verdict = if status.status == "operational" { CheckStatus::Pass } else { CheckStatus::Warn };
            check(
                name,
                verdict,
                format!("{at} is {} and responded in {took} ms", crate::util::format::printable(&status.status, 40)),
            )
        }
        Err(message) => {
            let what = check(name, CheckStatus::Fail, format!("{at}: {message}"));
            with_fix(what, "check the address (--api-url, CAPYDB_API_URL), the network and the proxy (HTTPS_PROXY)")
        }
    }
}

async fn key_and_project(context: &Context<'_>) -> Vec<Check> {
    let api = match context.api() {
        Ok(api) => api,
        Err(failure) => {
            return vec![with_fix(
                check("key", CheckStatus::Fail, failure.message),
                "run capydb login, or set CAPYDB_API_KEY",
            )];
        }
    };
    let key = match api.me().await {
        Ok(me) => {
            let organization = me.organization.map_or_else(|| "no organization".to_owned(), |found| found.name);
            let scopes = me.principal.scopes.join(", ");
            let from = context.api_key_from;
            check(
                "key",
                CheckStatus::Pass,
                format!("valid for {} ({from}), scopes: {scopes}", crate::util::format::printable(&organization, 80)),
            )
        }
        Err(error) => {
            with_fix(check("key", CheckStatus::Fail, error.message), "run capydb login, or check CAPYDB_API_KEY")
        }
    };
    if key.status == CheckStatus::Fail {
        return vec![key];
    }
    let project = match context.default_project(&api).await {
        Ok(DefaultProject::Found(project)) => {
            check("project", CheckStatus::Pass, format!("{} ({})", label(&project), project.state))
        }
        Ok(DefaultProject::None) => with_fix(
            check("project", CheckStatus::Warn, "there is no project yet".into()),
            "capydb projects create NAME",
        ),
        Ok(DefaultProject::Several(number)) => with_fix(
            check("project", CheckStatus::Warn, format!("{number} projects, and this directory is linked to none")),
            "run capydb link PROJECT, or choose a project with --project",
        ),
        Err(failure) => {
            with_fix(check("project", CheckStatus::Fail, failure.message), "run capydb link PROJECT, or capydb unlink")
        }
    };
    vec![key, project]
}

/// Checks the `pg_dump` programs for `--via-dump`.
fn tools() -> Check {
    let name = "pg_dump";
    let found = pg_programs::pg_dumps(config::postgres_bin());
    if found.is_empty() {
        let what = check(name, CheckStatus::Warn, "pg_dump is not installed (needed only for --via-dump)".into());
        return with_fix(what, "apt install postgresql-client-17, brew install postgresql@17");
    }
    let all: Vec<String> = found.iter().map(|tool| format!("{} ({})", tool.major, tool.path.display())).collect();
    let best = found.iter().rev().find(|tool| tool.major <= 17);
    match best {
        Some(tool) if tool.major < 17 => with_fix(
            check(name, CheckStatus::Warn, format!("{}; can dump Postgres ≤ {}", all.join(", "), tool.major)),
            "for newer sources: apt install postgresql-client-17, brew install postgresql@17",
        ),
        Some(tool) => check(
            name,
            CheckStatus::Pass,
            format!("{}; can dump Postgres ≤ {} for a Postgres 17 target", all.join(", "), tool.major),
        ),
        None => with_fix(
            check(name, CheckStatus::Warn, format!("{}; all are newer than the Postgres 17 target", all.join(", "))),
            "apt install postgresql-client-17",
        ),
    }
}

fn disk() -> Check {
    let (name, folder) = ("spool_folder", spool::dir());
    if let Err(error) = spool::create(0) {
        let what = check(name, CheckStatus::Warn, format!("{}: {error}", folder.display()));
        return with_fix(what, "set TMPDIR to a writable directory; pipes, compressed dumps and --via-dump need one");
    }
    let free =
        free_disk(&folder).map_or_else(|| "free space unknown".to_owned(), |free| format!("{} free", bytes(free)));
    let what = format!("{}: {free}, for dumps from pipes, compressed dumps and --via-dump", folder.display());
    check(name, CheckStatus::Pass, what)
}
