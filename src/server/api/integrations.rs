//! Where a project's connection strings are pushed to.

use super::auth::{Authorized, visible_project};
use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::server::outbound::integrations::IntegrationProvider;
use crate::wire::{ConnectIntegration, IntegrationList};
use axum::Json;
use axum::extract::State;

/// Longest token, in bytes.
const LONGEST_TOKEN: usize = 1000;

/// The integrations of a project, with the state of the last push
#[utoipa::path(get, path = "/v1/projects/{id}/integrations", tag = "integrations",
    responses((status = 200, body = IntegrationList), ErrorResponses))]
pub(super) async fn list(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
) -> JsonResult<IntegrationList> {
    let project = visible_project(&api, &caller, &id).await?.project;
    Ok(Json(IntegrationList { integrations: api.core.store.integrations(&project.id).await? }))
}

/// Connect a project with a provider, or change the connection; the strings are pushed at once
#[utoipa::path(put, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    request_body = ConnectIntegration, responses((status = 200, body = IntegrationList), ErrorResponses))]
pub(super) async fn connect(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((id, word)): Path<(String, String)>,
    Body(wanted): Body<ConnectIntegration>,
) -> JsonResult<IntegrationList> {
    let project = visible_project(&api, &caller, &id).await?.project;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let provider = known(&api, &word)?;
    let config = provider.settings(&wanted.config).map_err(ErrorResponse::bad_request)?;
    let sealed = match &wanted.credentials {
        Some(credentials) if provider.wants_token() => {
            let token = credentials.get("token").filter(|token| is_token(token) && credentials.len() == 1);
            let token =
                token.ok_or_else(|| ErrorResponse::bad_request("credentials must hold a token, and nothing else"))?;
            Some(api.core.secret_box.seal(&serde_json::json!({ "token": token }).to_string())?)
        }
        Some(credentials) if !credentials.is_empty() => {
            return Err(ErrorResponse::bad_request(format!("{word} takes no credentials")));
        }
        _ => None,
    };
    let there = api.core.store.integrations(&project.id).await?;
    let has_token = there.iter().any(|there| there.provider == word && there.has_credentials);
    if provider.wants_token() && sealed.is_none() && !has_token {
        return Err(ErrorResponse::bad_request("credentials.token is missing"));
    }
    api.core.store.connect(&project.id, provider.word(), &config, sealed.as_deref()).await?;
    api.core.wakeups.wake_outbox();
    Ok(Json(IntegrationList { integrations: api.core.store.integrations(&project.id).await? }))
}

/// End a connection; what was pushed stays at the provider
#[utoipa::path(delete, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    responses((status = 200, body = IntegrationList), ErrorResponses))]
pub(super) async fn disconnect(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((id, word)): Path<(String, String)>,
) -> JsonResult<IntegrationList> {
    let project = visible_project(&api, &caller, &id).await?.project;
    let provider = known(&api, &word)?;
    if !api.core.store.disconnect(&project.id, provider.word()).await? {
        return Err(ErrorResponse::not_found(format!("the project is not connected with {word}")));
    }
    Ok(Json(IntegrationList { integrations: api.core.store.integrations(&project.id).await? }))
}

/// A file can only be written by the machine that it lies on.
fn known(api: &ApiState, word: &str) -> Result<IntegrationProvider, ErrorResponse> {
    match IntegrationProvider::named(word) {
        Some(IntegrationProvider::Dotenv) if !api.core.is_local => {
            Err(ErrorResponse::not_found("only capydb dev writes dotenv files"))
        }
        Some(provider) => Ok(provider),
        None => Err(ErrorResponse::not_found("there is no such provider; there are: vercel, netlify, dotenv")),
    }
}

/// What can stand in a header.
fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
