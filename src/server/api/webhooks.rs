//! Endpoints of webhooks. They belong to an organization, so a key that is restricted to one
//! project has no part in them.

use super::auth::Authorized;
use super::body::{Body, Path, Query};
use super::error::ErrorResponse;
use super::jobs::Paging;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::server::crypto::random_hex;
use crate::server::metadata::{Caller, NewEndpoint};
use crate::server::outbound::egress;
use crate::wire::{
    CreateWebhookEndpoint, EVENT_TYPES, UpdateWebhookEndpoint, WebhookDeliveryAnswer, WebhookDeliveryList,
    WebhookEndpoint, WebhookEndpointAnswer, WebhookEndpointList,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 200;

/// The webhook endpoints of an organization
#[utoipa::path(get, path = "/v1/organizations/{org}/webhook-endpoints", tag = "webhooks",
    responses((status = 200, body = WebhookEndpointList), ErrorResponses))]
pub(super) async fn list(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
) -> JsonResult<WebhookEndpointList> {
    own(&caller, &org)?;
    Ok(Json(WebhookEndpointList { webhook_endpoints: api.core.store.endpoints(&org).await? }))
}

/// Make an endpoint; the answer holds its secret, which is shown this once
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints", tag = "webhooks",
    request_body = CreateWebhookEndpoint, responses((status = 201, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn create(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
    Body(wanted): Body<CreateWebhookEndpoint>,
) -> Result<(StatusCode, Json<WebhookEndpointAnswer>), ErrorResponse> {
    own(&caller, &org)?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let url = receiver(&api, &wanted.url)?;
    let description = wanted.description.as_deref().map(described).transpose()?.filter(|text| !text.is_empty());
    let event_types = wanted.event_types.unwrap_or_default();
    check_types(&event_types)?;
    let secret = new_secret();
    let new = NewEndpoint {
        organization_id: &org,
        url: &url,
        description,
        event_types: &event_types,
        secret: &api.core.secret_box.seal(&secret)?,
    };
    let Some(webhook_endpoint) = api.core.store.add_endpoint(&new).await? else {
        return Err(ErrorResponse::conflict(
            "the organization has as many webhook endpoints as it can have; delete one",
        ));
    };
    Ok((StatusCode::CREATED, Json(WebhookEndpointAnswer { webhook_endpoint, plaintext_secret: Some(secret) })))
}

/// Change an endpoint; what is absent stays as it is
#[utoipa::path(patch, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    request_body = UpdateWebhookEndpoint, responses((status = 200, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn update(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Body(mut change): Body<UpdateWebhookEndpoint>,
) -> JsonResult<WebhookEndpointAnswer> {
    let endpoint = known(&api, &caller, &org, &id).await?;
    change.url = change.url.as_deref().map(|url| receiver(&api, url)).transpose()?;
    change.description = change.description.as_deref().map(described).transpose()?.map(str::to_owned);
    check_types(change.event_types.as_deref().unwrap_or_default())?;
    let changed = api.core.store.update_endpoint(&endpoint.id, &change).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(gone)?, plaintext_secret: None }))
}

/// Delete an endpoint with its history
#[utoipa::path(delete, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    responses((status = 200, body = Object), ErrorResponses))]
pub(super) async fn delete(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> JsonResult<serde_json::Value> {
    let endpoint = known(&api, &caller, &org, &id).await?;
    api.core.store.remove_endpoint(&endpoint.id).await?;
    Ok(Json(serde_json::json!({})))
}

/// Give an endpoint another secret, which signs from now on and is shown this once
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    responses((status = 200, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn rotate_secret(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> JsonResult<WebhookEndpointAnswer> {
    let endpoint = known(&api, &caller, &org, &id).await?;
    let secret = new_secret();
    let changed = api.core.store.set_endpoint_secret(&endpoint.id, &api.core.secret_box.seal(&secret)?).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(gone)?, plaintext_secret: Some(secret) }))
}

/// The deliveries to an endpoint, newest first; they are remembered for 30 days
#[utoipa::path(get, path = "/v1/organizations/{org}/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(Paging), responses((status = 200, body = WebhookDeliveryList), ErrorResponses))]
pub(super) async fn deliveries(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Query(paging): Query<Paging>,
) -> JsonResult<WebhookDeliveryList> {
    let endpoint = known(&api, &caller, &org, &id).await?;
    Ok(Json(WebhookDeliveryList { deliveries: api.core.store.deliveries(&endpoint.id, paging.limit()?).await? }))
}

/// Send an endpoint an event of the type `webhook.test`
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/test", tag = "webhooks",
    responses((status = 202, body = WebhookDeliveryAnswer), ErrorResponses))]
pub(super) async fn test(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<WebhookDeliveryAnswer>), ErrorResponse> {
    let endpoint = known(&api, &caller, &org, &id).await?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    if !endpoint.enabled {
        return Err(ErrorResponse::conflict("the endpoint is disabled"));
    }
    let delivery = api.core.store.add_test_delivery(&org, &endpoint.id).await?.ok_or_else(gone)?;
    api.core.wakeups.wake_outbox();
    Ok((StatusCode::ACCEPTED, Json(WebhookDeliveryAnswer { delivery })))
}

/// Only the caller's own organization exists for it.
fn own(caller: &Caller, org: &str) -> Result<(), ErrorResponse> {
    if caller.organization.id != org {
        return Err(ErrorResponse::not_found("there is no such organization"));
    }
    if caller.project_id.is_some() {
        return Err(ErrorResponse::forbidden(
            "this key is restricted to one project, and webhooks are the organization's",
        ));
    }
    Ok(())
}

async fn known(api: &ApiState, caller: &Caller, org: &str, id: &str) -> Result<WebhookEndpoint, ErrorResponse> {
    own(caller, org)?;
    // A text with this character is none of Postgres's, so it could not even be asked for.
    let id = Some(id).filter(|id| !id.contains('\0')).ok_or_else(gone)?;
    api.core.store.endpoint(org, id).await?.ok_or_else(gone)
}

fn gone() -> ErrorResponse {
    ErrorResponse::not_found("there is no such webhook endpoint")
}

fn new_secret() -> String {
    format!("whsec_{}", random_hex(24))
}

fn receiver(api: &ApiState, url: &str) -> Result<String, ErrorResponse> {
    egress::receiver(url, api.core.is_local).map(String::from).map_err(ErrorResponse::bad_request)
}

fn described(text: &str) -> Result<&str, ErrorResponse> {
    let text = text.trim();
    if text.chars().count() > LONGEST_DESCRIPTION || text.chars().any(crate::util::format::is_unseen) {
        return Err(ErrorResponse::bad_request(format!(
            "description must have at most {LONGEST_DESCRIPTION} printable characters"
        )));
    }
    Ok(text)
}

fn check_types(types: &[String]) -> Result<(), ErrorResponse> {
    let distinct = types.iter().collect::<std::collections::BTreeSet<_>>().len() == types.len();
    if distinct && types.iter().all(|kind| EVENT_TYPES.contains(&kind.as_str())) {
        return Ok(());
    }
    Err(ErrorResponse::bad_request(format!(
        "event_types must name some of these, each once: {}",
        EVENT_TYPES.join(", ")
    )))
}
