//! `login`, `logout`, `whoami`, `link` and `unlink`: the API key and the project in use.

use super::context::{Context, check_key};
use super::output::{Output, report};
use super::{CliError, ErrorKind};
use crate::cli::output::report::label;
use crate::client::Api;
use crate::config::{self, LinkedProject, Login};
use crate::util::format::{printable, short_code};
use crate::wire::{LoginRequest, LoginSession, LoginState, Organization};
use secrecy::SecretString;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Lifetime of a login session when the control plane sends no valid expiry time.
const DEFAULT_LOGIN_LIFETIME: Duration = Duration::from_mins(15);

/// Pause between two polls of a pending login.
const POLL: Duration = Duration::from_secs(2);

/// A new key with its organization, if known.
struct Granted {
    key: SecretString,
    organization: Option<Organization>,
}

/// `capydb login`. Checks and saves the given key; without one, the user approves in the browser.
pub(super) async fn login(context: &Context<'_>, key_given: bool) -> Result<(), CliError> {
    let path = login_path()?;
    config::saved_login(&path)?; // report an unreadable file before the browser step
    let granted = match &context.api_key {
        Some(key) if key_given => Granted { key: key.clone(), organization: None },
        _ => approved(context).await?,
    };
    check_key(&granted.key)?;
    let me = Api::new(context.api_url.clone(), Some(granted.key.clone()))?.me().await?;
    let Some(Organization { id, name, slug }) = me.organization.or(granted.organization) else {
        return Err(CliError::new(ErrorKind::Auth, "the key has no organization").hint("create one in the dashboard"));
    };
    let login = Login {
        organization_id: id,
        name,
        slug,
        api_key: Some(granted.key),
        api_url: Some(context.api_url.to_string()),
        app_url: Some(context.app_url.as_str().trim_end_matches('/').to_owned()),
    };
    if let Some(other) = config::saved_elsewhere(&path, &login)? {
        let what = format!("this organization has a saved login for another server: {}", printable(&other, 200));
        return Err(CliError::new(ErrorKind::Conflict, what).hint("to replace the login, run capydb logout first"));
    }
    config::save_login(&path, &login)?;
    if std::env::var_os(config::ENV_API_KEY).is_some() {
        context.output.warn("CAPYDB_API_KEY is set and overrides the saved login");
    }
    let (name, url) = (called(&login), &context.api_url);
    let text = format!("Logged in to {name} at {url}. The key is saved in {}.", path.display());
    context.output.result(&text, || {
        let organization = json!({ "id": login.organization_id, "name": login.name, "slug": login.slug });
        json!({ "organization": organization, "api_url": context.api_url.as_str() })
    });
    Ok(())
}

fn login_path() -> Result<PathBuf, CliError> {
    config::login_path().ok_or_else(|| CliError::new(ErrorKind::Error, "cannot save the login: no home directory"))
}

fn called(login: &Login) -> String {
    let names = [&login.name, &login.slug, &login.organization_id];
    names.into_iter().find(|name| !name.is_empty()).map_or_else(String::new, |name| printable(name, 80))
}

/// Has the user approve this machine in the browser; returns the new key.
async fn approved(context: &Context<'_>) -> Result<Granted, CliError> {
    let api = context.anonymous()?;
    let device = std::env::var("HOSTNAME").ok().or_else(host_name);
    let request = LoginRequest { device_name: device, source: Some("capydb-cli".into()), ..LoginRequest::default() };
    let session = api.begin_login(&request).await?;
    let mut page = context.app_url.clone();
    if let Ok(mut segments) = page.path_segments_mut() {
        segments.pop_if_empty().extend(["dashboard", "cli", "login"]);
    }
    page.query_pairs_mut().append_pair("session", &session.session_id);
    context.output.urgent(&format!(
        "Open this page, check that it shows code {}, and approve the login:\n\n  {page}\n\nWaiting … (Ctrl-C cancels)",
        short_code(&session.session_id)
    ));
    wait_for_key(&api, &session).await
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

async fn wait_for_key(api: &Api, session: &LoginSession) -> Result<Granted, CliError> {
    let too_late = || CliError::new(ErrorKind::Timeout, "login timed out").hint("run capydb login again");
    let end: jiff::Timestamp =
        session.expires_at.parse().unwrap_or_else(|_| jiff::Timestamp::now() + DEFAULT_LOGIN_LIFETIME);
    loop {
        let state = match api.login_state(session).await {
            Err(error) if error.is_transient() => LoginState { state: "pending".into(), ..LoginState::default() },
            result => result?,
        };
        if let Some(key) = state.plaintext_api_key.filter(|key| !key.is_empty()) {
            let organization = state.organization_id.map(|id| Organization {
                id,
                name: state.organization_name.unwrap_or_default(),
                slug: state.organization_slug.unwrap_or_default(),
            });
            return Ok(Granted { key: key.into(), organization });
        }
        match state.state.as_str() {
            "pending" if jiff::Timestamp::now() > end => return Err(too_late()),
            "pending" => tokio::time::sleep(POLL).await,
            "expired" => return Err(too_late()),
            "approved" => {
                return Err(CliError::new(
                    ErrorKind::Auth,
                    "the login was approved, but the response with the key was lost",
                )
                .hint("run capydb login again, and revoke the lost key in the dashboard"));
            }
            other => {
                let state = printable(other, 40);
                return Err(CliError::new(ErrorKind::Auth, format!("the login was not approved ({state})")));
            }
        }
    }
}

/// `capydb logout`.
pub(super) fn logout(context: &Context<'_>, all: bool) -> Result<(), CliError> {
    let gone = config::remove_logins(&login_path()?, all)?;
    let text = match gone.as_slice() {
        [] => "You were not logged in.".to_owned(),
        names => format!("Logged out of {}. The key itself remains valid.", names.join(", ")),
    };
    context.output.result(&text, || json!({ "logged_out": gone }));
    Ok(())
}

/// `capydb whoami`.
pub(super) async fn whoami(context: &Context<'_>) -> Result<(), CliError> {
    let me = context.api()?.me().await?;
    let organization = me.organization.as_ref();
    let restricted = if me.principal.is_admin { "administrator" } else { "" };
    let scopes = me.principal.scopes.join(", ");
    let rows = [
        ("organization", organization.map_or("none", |found| found.name.as_str())),
        ("slug", organization.map_or("", |found| found.slug.as_str())),
        ("id", organization.map_or("", |found| found.id.as_str())),
        ("scopes", scopes.as_str()),
        ("rights", restricted),
        ("control plane", context.api_url.as_str()),
        ("key from", context.api_key_from),
    ];
    let rows = rows.map(|(name, value)| (name, printable(value, 200)));
    let report_push: Vec<(&str, &str)> =
        rows.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str())).collect();
    context.output.result(&report::pairs(&report_push), || json!({ "me": me, "api_url": context.api_url.as_str() }));
    Ok(())
}

/// `capydb link`.
pub(super) async fn link(context: &Context<'_>, wanted: Option<&str>) -> Result<(), CliError> {
    let api = context.api()?;
    let project = context.project_to_link(&api, wanted).await?;
    let link = LinkedProject {
        project_id: project.id.clone(),
        project_name: project.name.clone(),
        project_slug: project.slug.clone(),
        api_url: context.api_url.to_string(),
    };
    let here = std::env::current_dir().map_err(anyhow::Error::from)?;
    let path = config::link_project(&here, &link)?;
    let text = format!("Linked this directory to project {} ({}).", printable(label(&project), 60), path.display());
    context.output.result(&text, || json!({ "project": project }));
    Ok(())
}

/// `capydb unlink`.
pub(super) fn unlink(output: &Output) -> Result<(), CliError> {
    let here = std::env::current_dir().map_err(anyhow::Error::from)?;
    let was = config::unlink_project(&here)?;
    let text = if was { "Unlinked this directory." } else { "This directory was not linked." };
    output.result(text, || json!({ "unlinked": was }));
    Ok(())
}
