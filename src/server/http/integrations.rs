//! Where a project's connection strings are pushed to.

use super::auth::{Authorized, visible_project};
use super::body::{Body, Path};
use super::error::Refused;
use super::limits::DEAR;
use super::openapi::Refusals;
use super::{Answer, Shared};
use crate::server::App;
use crate::server::integrations::Provider;
use crate::wire::{ConnectIntegration, IntegrationList};
use axum::Json;
use axum::extract::State;

/// Longest token, in bytes.
const LONGEST_TOKEN: usize = 1000;

/// The integrations of a project, with the state of the last push
#[utoipa::path(get, path = "/v1/projects/{id}/integrations", tag = "integrations",
    responses((status = 200, body = IntegrationList), Refusals))]
pub(super) async fn list(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> Answer<IntegrationList> {
    let project = visible_project(&app, &caller, &id).await?.project;
    Ok(Json(IntegrationList { integrations: app.store.integrations(&project.id).await? }))
}

/// Connect a project with a provider, or change the connection; the strings are pushed at once
#[utoipa::path(put, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    request_body = ConnectIntegration, responses((status = 200, body = IntegrationList), Refusals))]
pub(super) async fn connect(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((id, word)): Path<(String, String)>,
    Body(wanted): Body<ConnectIntegration>,
) -> Answer<IntegrationList> {
    let project = visible_project(&app, &caller, &id).await?.project;
    app.admission.rate.key(&caller.key_id, DEAR)?;
    let provider = known(&app, &word)?;
    let config = provider.settings(&wanted.config).map_err(Refused::bad)?;
    let sealed = match &wanted.credentials {
        Some(credentials) if provider.wants_token() => {
            let token = credentials.get("token").filter(|token| is_token(token) && credentials.len() == 1);
            let token = token.ok_or_else(|| Refused::bad("credentials must hold a token, and nothing else"))?;
            Some(app.sealer.seal(&serde_json::json!({ "token": token }).to_string())?)
        }
        Some(credentials) if !credentials.is_empty() => {
            return Err(Refused::bad(format!("{word} takes no credentials")));
        }
        _ => None,
    };
    let there = app.store.integrations(&project.id).await?;
    let has_token = there.iter().any(|there| there.provider == word && there.has_credentials);
    if provider.wants_token() && sealed.is_none() && !has_token {
        return Err(Refused::bad("credentials.token is missing"));
    }
    app.store.connect(&project.id, provider.word(), &config, sealed.as_deref()).await?;
    app.signals.tell_news();
    Ok(Json(IntegrationList { integrations: app.store.integrations(&project.id).await? }))
}

/// End a connection; what was pushed stays at the provider
#[utoipa::path(delete, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    responses((status = 200, body = IntegrationList), Refusals))]
pub(super) async fn disconnect(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((id, word)): Path<(String, String)>,
) -> Answer<IntegrationList> {
    let project = visible_project(&app, &caller, &id).await?.project;
    let provider = known(&app, &word)?;
    if !app.store.disconnect(&project.id, provider.word()).await? {
        return Err(Refused::not_found(format!("the project is not connected with {word}")));
    }
    Ok(Json(IntegrationList { integrations: app.store.integrations(&project.id).await? }))
}

/// A file can only be written by the machine that it lies on.
fn known(app: &App, word: &str) -> Result<Provider, Refused> {
    match Provider::named(word) {
        Some(Provider::Dotenv) if !app.is_local => Err(Refused::not_found("only capydb dev writes dotenv files")),
        Some(provider) => Ok(provider),
        None => Err(Refused::not_found("there is no such provider; there are: vercel, netlify, dotenv")),
    }
}

/// What can stand in a header.
fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
