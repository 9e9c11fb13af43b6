//! Endpoints of webhooks. They belong to an organization, so a key that is restricted to one
//! project has no part in them.

use super::auth::Authorized;
use super::body::{Body, Path, Query};
use super::error::Refused;
use super::jobs::Paging;
use super::limits::DEAR;
use super::openapi::Refusals;
use super::{Answer, Shared};
use crate::server::crypto::random_hex;
use crate::server::store::{Caller, NewEndpoint};
use crate::server::{App, outside};
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
    responses((status = 200, body = WebhookEndpointList), Refusals))]
pub(super) async fn list(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
) -> Answer<WebhookEndpointList> {
    own(&caller, &org)?;
    Ok(Json(WebhookEndpointList { webhook_endpoints: app.store.endpoints(&org).await? }))
}

/// Make an endpoint; the answer holds its secret, which is shown this once
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints", tag = "webhooks",
    request_body = CreateWebhookEndpoint, responses((status = 201, body = WebhookEndpointAnswer), Refusals))]
pub(super) async fn create(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path(org): Path<String>,
    Body(wanted): Body<CreateWebhookEndpoint>,
) -> Result<(StatusCode, Json<WebhookEndpointAnswer>), Refused> {
    own(&caller, &org)?;
    app.admission.rate.key(&caller.key_id, DEAR)?;
    let url = receiver(&app, &wanted.url)?;
    let description = wanted.description.as_deref().map(described).transpose()?.filter(|text| !text.is_empty());
    let event_types = wanted.event_types.unwrap_or_default();
    check_types(&event_types)?;
    let secret = new_secret();
    let new = NewEndpoint {
        organization_id: &org,
        url: &url,
        description,
        event_types: &event_types,
        secret: &app.sealer.seal(&secret)?,
    };
    let Some(webhook_endpoint) = app.store.add_endpoint(&new).await? else {
        return Err(Refused::conflict("the organization has as many webhook endpoints as it can have; delete one"));
    };
    Ok((StatusCode::CREATED, Json(WebhookEndpointAnswer { webhook_endpoint, plaintext_secret: Some(secret) })))
}

/// Change an endpoint; what is absent stays as it is
#[utoipa::path(patch, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    request_body = UpdateWebhookEndpoint, responses((status = 200, body = WebhookEndpointAnswer), Refusals))]
pub(super) async fn update(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Body(mut change): Body<UpdateWebhookEndpoint>,
) -> Answer<WebhookEndpointAnswer> {
    let endpoint = known(&app, &caller, &org, &id).await?;
    change.url = change.url.as_deref().map(|url| receiver(&app, url)).transpose()?;
    change.description = change.description.as_deref().map(described).transpose()?.map(str::to_owned);
    check_types(change.event_types.as_deref().unwrap_or_default())?;
    let changed = app.store.update_endpoint(&endpoint.id, &change).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(gone)?, plaintext_secret: None }))
}

/// Delete an endpoint with its history
#[utoipa::path(delete, path = "/v1/organizations/{org}/webhook-endpoints/{id}", tag = "webhooks",
    responses((status = 200, body = Object), Refusals))]
pub(super) async fn delete(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> Answer<serde_json::Value> {
    let endpoint = known(&app, &caller, &org, &id).await?;
    app.store.remove_endpoint(&endpoint.id).await?;
    Ok(Json(serde_json::json!({})))
}

/// Give an endpoint another secret, which signs from now on and is shown this once
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    responses((status = 200, body = WebhookEndpointAnswer), Refusals))]
pub(super) async fn rotate_secret(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> Answer<WebhookEndpointAnswer> {
    let endpoint = known(&app, &caller, &org, &id).await?;
    let secret = new_secret();
    let changed = app.store.set_endpoint_secret(&endpoint.id, &app.sealer.seal(&secret)?).await?;
    Ok(Json(WebhookEndpointAnswer { webhook_endpoint: changed.ok_or_else(gone)?, plaintext_secret: Some(secret) }))
}

/// The deliveries to an endpoint, newest first; they are remembered for 30 days
#[utoipa::path(get, path = "/v1/organizations/{org}/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(Paging), responses((status = 200, body = WebhookDeliveryList), Refusals))]
pub(super) async fn deliveries(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
    Query(paging): Query<Paging>,
) -> Answer<WebhookDeliveryList> {
    let endpoint = known(&app, &caller, &org, &id).await?;
    Ok(Json(WebhookDeliveryList { deliveries: app.store.deliveries(&endpoint.id, paging.limit()?).await? }))
}

/// Send an endpoint an event of the type `webhook.test`
#[utoipa::path(post, path = "/v1/organizations/{org}/webhook-endpoints/{id}/test", tag = "webhooks",
    responses((status = 202, body = WebhookDeliveryAnswer), Refusals))]
pub(super) async fn test(
    State(app): Shared,
    Authorized(caller): Authorized,
    Path((org, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<WebhookDeliveryAnswer>), Refused> {
    let endpoint = known(&app, &caller, &org, &id).await?;
    app.admission.rate.key(&caller.key_id, DEAR)?;
    if !endpoint.enabled {
        return Err(Refused::conflict("the endpoint is disabled"));
    }
    let delivery = app.store.add_test_delivery(&org, &endpoint.id).await?.ok_or_else(gone)?;
    app.signals.tell_news();
    Ok((StatusCode::ACCEPTED, Json(WebhookDeliveryAnswer { delivery })))
}

/// Only the caller's own organization exists for it.
fn own(caller: &Caller, org: &str) -> Result<(), Refused> {
    if caller.organization.id != org {
        return Err(Refused::not_found("there is no such organization"));
    }
    if caller.project_id.is_some() {
        return Err(Refused::forbidden("this key is restricted to one project, and webhooks are the organization's"));
    }
    Ok(())
}

async fn known(app: &App, caller: &Caller, org: &str, id: &str) -> Result<WebhookEndpoint, Refused> {
    own(caller, org)?;
    // A text with this character is none of Postgres's, so it could not even be asked for.
    let id = Some(id).filter(|id| !id.contains('\0')).ok_or_else(gone)?;
    app.store.endpoint(org, id).await?.ok_or_else(gone)
}

fn gone() -> Refused {
    Refused::not_found("there is no such webhook endpoint")
}

fn new_secret() -> String {
    format!("whsec_{}", random_hex(24))
}

fn receiver(app: &App, url: &str) -> Result<String, Refused> {
    outside::receiver(url, app.is_local).map(String::from).map_err(Refused::bad)
}

fn described(text: &str) -> Result<&str, Refused> {
    let text = text.trim();
    if text.chars().count() > LONGEST_DESCRIPTION || text.chars().any(crate::text::is_unseen) {
        return Err(Refused::bad(format!("description must have at most {LONGEST_DESCRIPTION} printable characters")));
    }
    Ok(text)
}

fn check_types(types: &[String]) -> Result<(), Refused> {
    let distinct = types.iter().collect::<std::collections::BTreeSet<_>>().len() == types.len();
    if distinct && types.iter().all(|kind| EVENT_TYPES.contains(&kind.as_str())) {
        return Ok(());
    }
    Err(Refused::bad(format!("event_types must name some of these, each once: {}", EVENT_TYPES.join(", "))))
}
