//! Webhook endpoints. They belong to an organization, so a key restricted to one project has no
//! access.

use super::auth::Authorized;
use super::body::{Body, Path, Query};
use super::error::ErrorResponse;
use super::jobs::Paging;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::server::crypto::random_hex;
use crate::server::egress;
use crate::server::metadata::{Caller, NewEndpoint};
use crate::wire::{
    CreateWebhookEndpoint, EVENT_TYPES, UpdateWebhookEndpoint, WebhookDeliveryAnswer, WebhookDeliveryList,
    WebhookEndpoint, WebhookEndpointAnswer, WebhookEndpointList,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Maximum length of a description, in characters.
const MAX_DESCRIPTION: usize = 200;

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/organizations/{org}/webhook-endpoints", tag = "webhooks",
    responses((status = 200, body = WebhookEndpointList), ErrorResponses))]
pub(super) async fn list(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
) -> JsonResult<WebhookEndpointList> {
    check_organization(&caller, &org)?;
    Ok(Json(WebhookEndpointList { webhook_endpoints: api.core.store.endpoints(&org).await? }))
}

/// Create a webhook endpoint
///
/// The response contains the signing secret, which is not shown again.
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints", tag = "webhooks",
    request_body = CreateWebhookEndpoint, responses((status = 201, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn create(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
    Body(wanted): Body<CreateWebhookEndpoint>,
) -> Result<(StatusCode, Json<WebhookEndpointAnswer>), ErrorResponse> {
    check_organization(&caller, &org)?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let url = parse_url(&api, &wanted.url)?;
    let description = wanted.description.as_deref().map(parse_description).transpose()?.filter(|text| !text.is_empty());
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
        return Err(ErrorResponse::conflict("the organization has reached its limit of webhook endpoints; delete one"));
    };
    Ok((StatusCode::CREATED, Json(WebhookEndpointAnswer { webhook_endpoint, plaintext_secret: Some(secret) })))
}

/// Update a webhook endpoint
///
/// Absent fields are unchanged.
#[utoipa::path(patch, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    request_body = UpdateWebhookEndpoint, responses((status = 200, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn update(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Body(mut change): Body<UpdateWebhookEndpoint>,
) -> JsonResult<WebhookEndpointAnswer> {
    let endpoint = find_endpoint(&api, &caller, &org, &id).await?;
    change.url = change.url.as_deref().map(|url| parse_url(&api, url)).transpose()?;
    change.description = change.description.as_deref().map(parse_description).transpose()?.map(str::to_owned);
    check_types(change.event_types.as_deref().unwrap_or_default())?;
    let changed = api.core.store.update_endpoint(&endpoint.id, &change).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(not_found)?, plaintext_secret: None }))
}

/// Delete a webhook endpoint and its deliveries
#[utoipa::path(delete, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    responses((status = 200, body = Object), ErrorResponses))]
pub(super) async fn delete(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> JsonResult<serde_json::Value> {
    let endpoint = find_endpoint(&api, &caller, &org, &id).await?;
    api.core.store.remove_endpoint(&endpoint.id).await?;
    Ok(Json(serde_json::json!({})))
}

/// Rotate a signing secret
///
/// The response contains the new secret, which is not shown again. The old one stops working.
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    responses((status = 200, body = WebhookEndpointAnswer), ErrorResponses))]
pub(super) async fn rotate_secret(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> JsonResult<WebhookEndpointAnswer> {
    let endpoint = find_endpoint(&api, &caller, &org, &id).await?;
    let secret = new_secret();
    let changed = api.core.store.set_endpoint_secret(&endpoint.id, &api.core.secret_box.seal(&secret)?).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(not_found)?, plaintext_secret: Some(secret) }))
}

/// List deliveries to an endpoint, newest first
///
/// Deliveries are kept for 30 days.
#[utoipa::path(get, path = "/v1/organizations/{org}/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(Paging), responses((status = 200, body = WebhookDeliveryList), ErrorResponses))]
pub(super) async fn deliveries(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Query(paging): Query<Paging>,
) -> JsonResult<WebhookDeliveryList> {
    let endpoint = find_endpoint(&api, &caller, &org, &id).await?;
    Ok(Json(WebhookDeliveryList { deliveries: api.core.store.deliveries(&endpoint.id, paging.limit()?).await? }))
}

/// Send a `webhook.test` event
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/test", tag = "webhooks",
    responses((status = 202, body = WebhookDeliveryAnswer), ErrorResponses))]
pub(super) async fn test(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<WebhookDeliveryAnswer>), ErrorResponse> {
    let endpoint = find_endpoint(&api, &caller, &org, &id).await?;
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    if !endpoint.enabled {
        return Err(ErrorResponse::conflict("the endpoint is disabled"));
    }
    let delivery = api.core.store.add_test_delivery(&org, &endpoint.id).await?.ok_or_else(not_found)?;
    api.core.wakeups.wake_outbox();
    Ok((StatusCode::ACCEPTED, Json(WebhookDeliveryAnswer { delivery })))
}

/// Checks that the organization is the caller's and the key is not restricted to a project.
fn check_organization(caller: &Caller, org: &str) -> Result<(), ErrorResponse> {
    if caller.organization.id != org {
        return Err(ErrorResponse::not_found("organization not found"));
    }
    if caller.project_id.is_some() {
        return Err(ErrorResponse::forbidden(
            "this key is restricted to one project; webhooks belong to the organization",
        ));
    }
    Ok(())
}

async fn find_endpoint(api: &ApiState, caller: &Caller, org: &str, id: &str) -> Result<WebhookEndpoint, ErrorResponse> {
    check_organization(caller, org)?;
    // Postgres rejects NUL in text, so the query would fail.
    let id = Some(id).filter(|id| !id.contains('\0')).ok_or_else(not_found)?;
    api.core.store.endpoint(org, id).await?.ok_or_else(not_found)
}

fn not_found() -> ErrorResponse {
    ErrorResponse::not_found("webhook endpoint not found")
}

fn new_secret() -> String {
    format!("whsec_{}", random_hex(24))
}

fn parse_url(api: &ApiState, url: &str) -> Result<String, ErrorResponse> {
    egress::parse_receiver_url(url, api.core.is_local).map(String::from).map_err(ErrorResponse::bad_request)
}

fn parse_description(text: &str) -> Result<&str, ErrorResponse> {
    let text = text.trim();
    if text.chars().count() > MAX_DESCRIPTION || text.chars().any(crate::util::format::is_unseen) {
        return Err(ErrorResponse::bad_request(format!(
            "description must have at most {MAX_DESCRIPTION} printable characters"
        )));
    }
    Ok(text)
}

fn check_types(types: &[String]) -> Result<(), ErrorResponse> {
    let distinct = types.iter().collect::<std::collections::BTreeSet<_>>().len() == types.len();
    if distinct && types.iter().all(|kind| EVENT_TYPES.contains(&kind.as_str())) {
        return Ok(());
    }
    Err(ErrorResponse::bad_request(format!("event_types must be distinct values of: {}", EVENT_TYPES.join(", "))))
}
