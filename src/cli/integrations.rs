//! `capydb integrations …`: syncs a project's connection strings to providers.

use super::args::{ConnectCommand, IntegrationsCommand};
use super::context::Context;
use super::output::lists;
use super::prompt::read_secret_line;
use super::{CliError, ErrorKind, interrupted};
use crate::cli::output::report::label;
use crate::client::Api;
use crate::util::format::printable;
use crate::wire::{ConnectIntegration, DATABASE_URL, DATABASE_URL_UNPOOLED, Integration, IntegrationProvider, Project};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Maximum wait for the first push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two polls of the integration.
const PUSH_POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Maximum length of a token, in bytes.
const MAX_TOKEN: u64 = 4096;

pub(super) async fn run(context: &Context<'_>, command: IntegrationsCommand) -> Result<(), CliError> {
    let api = context.api()?;
    match command {
        IntegrationsCommand::List { project } => {
            let project = context.project(&api, project.as_deref()).await?;
            let integrations = api.integrations(&project.id).await?;
            context.output.result(&lists::integrations(&integrations), || json!({ "integrations": integrations }));
        }
        IntegrationsCommand::Connect(command) => connect(context, &api, command).await?,
        IntegrationsCommand::Disconnect { provider, project } => {
            let project = context.project(&api, project.as_deref()).await?;
            api.disconnect_integration(&project.id, &provider).await?;
            let (shown, name) = (printable(&provider, 60), label(&project));
            let text = format!("Disconnected {name} from {shown}. Pushed variables are kept.");
            context.output.result(&text, || json!({ "disconnected": provider }));
        }
    }
    Ok(())
}

async fn connect(context: &Context<'_>, api: &Api, command: ConnectCommand) -> Result<(), CliError> {
    let (provider, project, config, token) = match command {
        ConnectCommand::Vercel { vercel_project, team, targets, token, project } => {
            let mut config = json!({ "project_id": vercel_project });
            if let Some(team) = team {
                config["team_id"] = json!(team);
            }
            if !targets.is_empty() {
                config["targets"] = json!(targets);
            }
            (IntegrationProvider::Vercel, project, config, secret(token.as_deref(), IntegrationProvider::Vercel)?)
        }
        ConnectCommand::Netlify { site, token, project } => (
            IntegrationProvider::Netlify,
            project,
            json!({ "site_id": site }),
            secret(token.as_deref(), IntegrationProvider::Netlify)?,
        ),
        ConnectCommand::Dotenv { file, project } => {
            (IntegrationProvider::Dotenv, project, json!({ "path": absolute(&file)? }), None)
        }
    };
    let project = context.project(api, project.as_deref()).await?;
    let config: Map<String, Value> = config.as_object().cloned().unwrap_or_default();
    if let (Some(variable), None) = (token_variable(provider), &token) {
        require_stored_token(api, &project, provider, variable).await?;
    }
    let provider = provider.as_str();
    let credentials = token.map(|token| BTreeMap::from([("token".to_owned(), token)]));
    api.connect_integration(&project.id, provider, &ConnectIntegration { config, credentials }).await?;
    report_push(context, &project, &pushed(api, &project, provider).await?)
}

/// Waits until the first push has been tried.
async fn pushed(api: &Api, project: &Project, provider: &str) -> Result<Integration, CliError> {
    let next = Instant::now();
    loop {
        let there = api.integrations(&project.id).await?;
        let found = there.into_iter().find(|found| found.provider == provider);
        let found = found.ok_or_else(|| CliError::new(ErrorKind::NotFound, "the integration was disconnected"))?;
        let tried = found.state != "pending" || found.last_error.is_some();
        if tried || next.elapsed() > PUSH_TIMEOUT {
            return Ok(found);
        }
        tokio::select! {
            () = tokio::time::sleep(PUSH_POLL_INTERVAL) => {}
            () = interrupted() => {
                let failure = CliError::new(ErrorKind::Interrupted, "stopped waiting; the push continues");
                return Err(failure.hint("check the push with: capydb integrations list"));
            }
        }
    }
}

fn report_push(context: &Context<'_>, project: &Project, found: &Integration) -> Result<(), CliError> {
    let (name, provider) = (label(project), printable(&found.provider, 60));
    if let Some(why) = &found.last_error {
        let what = format!("{name} is connected to {provider}, but the push failed: {}", printable(why, 300));
        let hint = match found.state.as_str() {
            "pending" => "the push will be retried; check with: capydb integrations list",
            _ => "fix the cause, then run the command again",
        };
        return Err(CliError::new(ErrorKind::Error, what).hint(hint).with("integration", found));
    }
    let text = match found.state.as_str() {
        "pending" => {
            format!("{name} is connected to {provider}. The push is in progress; check with: capydb integrations list")
        }
        _ => format!(
            "{name} is connected to {provider}. {DATABASE_URL} and {DATABASE_URL_UNPOOLED} are set, and updated after \
             every import."
        ),
    };
    context.output.result(&text, || json!({ "integration": found }));
    Ok(())
}

/// The environment variable in which a provider's own tools expect their token.
fn token_variable(provider: IntegrationProvider) -> Option<&'static str> {
    match provider {
        IntegrationProvider::Vercel => Some("VERCEL_TOKEN"),
        IntegrationProvider::Netlify => Some("NETLIFY_AUTH_TOKEN"),
        IntegrationProvider::Dotenv => None,
    }
}

/// Fails if no token was given and the control plane has none from before.
async fn require_stored_token(
    api: &Api,
    project: &Project,
    provider: IntegrationProvider,
    variable: &str,
) -> Result<(), CliError> {
    let known = api.integrations(&project.id).await?;
    if known.iter().any(|known| known.provider == provider.as_str() && known.has_credentials) {
        return Ok(());
    }
    Err(CliError::new(ErrorKind::Usage, format!("no token for {}", provider.as_str()))
        .hint(format!("set {variable}, or give the token with --token -")))
}

/// The token from the flag or the provider's environment variable; `None` keeps the stored token.
fn secret(given: Option<&str>, provider: IntegrationProvider) -> Result<Option<String>, CliError> {
    match given.map(str::trim) {
        Some("") => Err(CliError::new(ErrorKind::Usage, "--token is empty")),
        Some("-") => read_secret_line("token", MAX_TOKEN).map(Some),
        Some(token) => Ok(Some(token.to_owned())),
        None => Ok(token_variable(provider)
            .and_then(|variable| std::env::var(variable).ok())
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())),
    }
}

/// The absolute path of `file`: the control plane has another working directory.
fn absolute(file: &Path) -> Result<String, CliError> {
    // The rule of the control plane, which names the field of the API.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if name != ".env" && !name.starts_with(".env.") && !name.ends_with(".env") {
        return Err(CliError::new(ErrorKind::Usage, "the file must be named .env, .env.NAME or NAME.env"));
    }
    let path = std::path::absolute(file).map_err(anyhow::Error::from)?;
    // Resolve `..` and symbolic links where the user sees them.
    let folder = path.parent().unwrap_or(&path);
    let folder = folder
        .canonicalize()
        .map_err(|error| CliError::new(ErrorKind::NotFound, format!("{}: {error}", folder.display())))?;
    let path = path.file_name().map_or(folder.clone(), |name| folder.join(name));
    path.into_os_string().into_string().map_err(|_| CliError::new(ErrorKind::Usage, "the path is not valid UTF-8"))
}
