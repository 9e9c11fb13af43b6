//! Integration endpoints: list, connect, disconnect.

use super::auth::{Authorized, visible_project};
use super::body::{Body, Path};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::wire::{ConnectIntegration, IntegrationList, IntegrationProvider};
use axum::Json;
use axum::extract::State;

/// Maximum length of a token, in bytes.
const MAX_TOKEN: usize = 1000;

/// List a project's integrations and the state of their last push
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

/// Create or update an integration
///
/// The connection strings are pushed immediately.
#[utoipa::path(put, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    request_body = ConnectIntegration, responses((status = 200, body = IntegrationList), ErrorResponses))]
pub(super) async fn connect(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((id, name)): Path<(String, String)>,
    Body(wanted): Body<ConnectIntegration>,
) -> JsonResult<IntegrationList> {
    let project = visible_project(&api, &caller, &id).await?.project;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let provider = find_provider(&api, &name)?;
    let config = provider.settings(&wanted.config).map_err(ErrorResponse::bad_request)?;
    let sealed = match &wanted.credentials {
        Some(credentials) if provider.needs_token() => {
            let token = credentials.get("token").filter(|token| is_token(token) && credentials.len() == 1);
            let token = token.ok_or_else(|| ErrorResponse::bad_request("credentials must contain only a token"))?;
            Some(api.core.secret_box.seal(&serde_json::json!({ "token": token }).to_string())?)
        }
        Some(credentials) if !credentials.is_empty() => {
            return Err(ErrorResponse::bad_request(format!("{name} takes no credentials")));
        }
        _ => None,
    };
    let there = api.core.store.integrations(&project.id).await?;
    let has_token = there.iter().any(|there| there.provider == name && there.has_credentials);
    if provider.needs_token() && sealed.is_none() && !has_token {
        return Err(ErrorResponse::bad_request("credentials.token is missing"));
    }
    api.core.store.connect(&project.id, provider.as_str(), &config, sealed.as_deref()).await?;
    api.core.wakeups.wake_outbox();
    Ok(Json(IntegrationList { integrations: api.core.store.integrations(&project.id).await? }))
}

/// Delete an integration
///
/// Pushed variables stay at the provider.
#[utoipa::path(delete, path = "/v1/projects/{id}/integrations/{provider}", tag = "integrations",
    responses((status = 200, body = IntegrationList), ErrorResponses))]
pub(super) async fn disconnect(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((id, name)): Path<(String, String)>,
) -> JsonResult<IntegrationList> {
    let project = visible_project(&api, &caller, &id).await?.project;
    let provider = find_provider(&api, &name)?;
    if !api.core.store.disconnect(&project.id, provider.as_str()).await? {
        return Err(ErrorResponse::not_found(format!("the project is not connected to {name}")));
    }
    Ok(Json(IntegrationList { integrations: api.core.store.integrations(&project.id).await? }))
}

/// The provider of this name. `dotenv` is for `capydb dev` only: it writes a file on the server.
fn find_provider(api: &ApiState, name: &str) -> Result<IntegrationProvider, ErrorResponse> {
    match IntegrationProvider::named(name) {
        Some(IntegrationProvider::Dotenv) if !api.core.is_local => {
            Err(ErrorResponse::not_found("dotenv is supported by capydb dev only"))
        }
        Some(provider) => Ok(provider),
        None => Err(ErrorResponse::not_found(format!(
            "unknown provider; supported providers: {}",
            IntegrationProvider::names()
        ))),
    }
}

/// Whether the token is valid in an HTTP header.
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
