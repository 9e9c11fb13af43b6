//! `config show` and `doctor`: what is set, from where, and whether it works.

use super::context::{Context, label};
use super::output::report;
use super::{Failure, Kind};
use crate::config;
use crate::dump::spool;
use crate::source::{SourceUrl, pg_programs};
use crate::util::format::bytes;
use crate::util::fs::free_disk;
use crate::wire::{Check, CheckStatus};
use secrecy::ExposeSecret;
use serde_json::json;
use std::time::Instant;

/// A key for people: enough to tell two apart, not enough to use.
fn fingerprint(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let start = digest.as_ref().iter().take(6).fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    format!("sha256:{start:012x}…")
}

/// `capydb config show`.
pub(super) fn show(context: &Context<'_>) -> Result<(), Failure> {
    let here = std::env::current_dir().map_err(anyhow::Error::from)?;
    let key = context.api_key.as_ref().map(|key| fingerprint(key.expose_secret()));
    let source = std::env::var(config::ENV_SOURCE_URL).ok().filter(|text| !text.trim().is_empty());
    let source = source
        .map(|text| SourceUrl::parse_here(&text).map_or_else(|problem| problem.to_string(), |url| url.to_string()));
    let link = context
        .link
        .as_ref()
        .map(|link| if link.project_slug.is_empty() { &link.project_id } else { &link.project_slug });
    let file = |path: Option<std::path::PathBuf>| path.map(|path| (path.display().to_string(), path.exists()));
    let login_file = file(config::login_path());
    let link_file = file(Some(config::link_path(&here)));
    let settings = [
        ("api_url", Some(context.api_url.to_string()), context.api_url_from),
        ("app_url", Some(context.app_url.to_string()), context.app_url_from),
        ("api_key", key, context.api_key_from),
        ("project", link.cloned(), "the linked project"),
        ("source_url", source, config::ENV_SOURCE_URL),
    ];
    let rows: Vec<Vec<String>> = settings
        .iter()
        .map(|(name, value, from)| match value {
            Some(value) => {
                vec![format!("  {name}"), crate::util::format::printable(value, 200), format!("from {from}")]
            }
            None => vec![format!("  {name}"), "not set".to_owned()],
        })
        .collect();
    let files: Vec<Vec<String>> = [("saved login", &login_file), ("project link", &link_file)]
        .iter()
        .filter_map(|(name, file)| file.as_ref().map(|(path, there)| (name, path, *there)))
        .map(|(name, path, there)| {
            vec![format!("  {name}"), path.clone(), if there { "" } else { "is not there" }.to_owned()]
        })
        .collect();
    let text = format!("{}\n\nFiles\n{}", report::rows(&rows), report::rows(&files));
    context.output.result(&text, || {
        let settings: Vec<_> = settings.iter().map(|(name, value, from)| json!({ "name": name, "value": value, "from": value.as_ref().map(|_| from) })).collect();
        json!({ "settings": settings, "login_file": login_file.as_ref().map(|(path, _)| path), "link_file": link_file.as_ref().map(|(path, _)| path) })
    });
    Ok(())
}

fn check(name: &str, status: CheckStatus, detail: String) -> Check {
    Check { name: name.to_owned(), status, detail: Some(detail), evidence: Vec::new(), fix: None }
}

fn with_fix(check: Check, fix: &str) -> Check {
    Check { fix: Some(fix.to_owned()), ..check }
}

/// `capydb doctor`: everything is looked at, whatever fails.
pub(super) async fn doctor(context: &Context<'_>) -> Result<(), Failure> {
    let mut checks = vec![login_file(), service(context).await];
    // Without a service there is nobody to ask about a key.
    if checks[1].status != CheckStatus::Fail || context.api_key.is_none() {
        checks.extend(key_and_project(context).await);
    }
    checks.push(tools());
    checks.push(disk());
    context.output.text_result(&report::checks(&checks));
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.status == CheckStatus::Fail).map(|check| check.name.as_str()).collect();
    if !failed.is_empty() {
        let kind = if failed.contains(&"key") { Kind::Auth } else { Kind::Error };
        return Err(Failure::new(kind, format!("not in order: {}", failed.join(", "))).with("checks", &checks));
    }
    context.output.json_result(|| json!({ "checks": checks }));
    Ok(())
}

fn login_file() -> Check {
    let name = "login_file";
    let Some(path) = config::login_path().filter(|path| path.exists()) else {
        return check(name, CheckStatus::Pass, "there is none; the key comes from the environment or a flag".into());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::metadata(&path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
        if open {
            let what = check(name, CheckStatus::Warn, format!("others on this machine can read {}", path.display()));
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
                format!("{at} is {} and answered in {took} ms", crate::util::format::printable(&status.status, 40)),
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
                "capydb login, or set CAPYDB_API_KEY",
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
        Err(error) => with_fix(check("key", CheckStatus::Fail, error.message), "capydb login, or check CAPYDB_API_KEY"),
    };
    if key.status == CheckStatus::Fail {
        return vec![key];
    }
    let project = match context.project_unasked(&api).await {
        Ok(Some(project)) => check("project", CheckStatus::Pass, format!("{} ({})", label(&project), project.state)),
        Ok(None) => with_fix(
            check("project", CheckStatus::Warn, "several, and none is linked".into()),
            "capydb link PROJECT, or name one with --project",
        ),
        Err(failure) => {
            with_fix(check("project", CheckStatus::Fail, failure.message), "capydb link PROJECT, or capydb unlink")
        }
    };
    vec![key, project]
}

/// The tools for `--via-dump`.
fn tools() -> Check {
    let name = "pg_dump";
    let found = pg_programs::pg_dumps(&[]);
    if found.is_empty() {
        let what = check(name, CheckStatus::Warn, "none on this machine: needed for --via-dump only".into());
        return with_fix(what, "apt install postgresql-client-17, brew install postgresql@17");
    }
    let all: Vec<String> = found.iter().map(|tool| format!("{} ({})", tool.major, tool.path.display())).collect();
    let best = found.iter().rev().find(|tool| tool.major <= 17);
    match best {
        Some(tool) if tool.major < 17 => with_fix(
            check(
                name,
                CheckStatus::Warn,
                format!("{}; sources up to {} can be dumped here", all.join(", "), tool.major),
            ),
            "for newer sources: apt install postgresql-client-17, brew install postgresql@17",
        ),
        Some(tool) => check(
            name,
            CheckStatus::Pass,
            format!("{}; for sources up to {} on a target of 17", all.join(", "), tool.major),
        ),
        None => with_fix(
            check(name, CheckStatus::Warn, format!("{}; all newer than a target of 17", all.join(", "))),
            "apt install postgresql-client-17",
        ),
    }
}

fn disk() -> Check {
    let (name, folder) = ("spool_folder", spool::folder());
    if let Err(error) = spool::create(0) {
        let what = check(name, CheckStatus::Warn, format!("{}: {error}", folder.display()));
        return with_fix(
            what,
            "set TMPDIR to a folder that can be written; needed for pipes, compressed dumps and --via-dump",
        );
    }
    let free =
        free_disk(&folder).map_or_else(|| "free space is not known".to_owned(), |free| format!("{} free", bytes(free)));
    let what = format!("{}: {free}, for dumps from pipes, compressed dumps and --via-dump", folder.display());
    check(name, CheckStatus::Pass, what)
}
