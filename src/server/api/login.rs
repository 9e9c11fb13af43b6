//! Device login: a machine creates a session, a person approves it in the browser with an existing
//! API key, and the machine fetches its own new key once.

use super::body::{Body, Path, Query};
use super::error::ErrorResponse;
use super::openapi::ErrorResponses;
use super::{JsonResult, SharedState};
use crate::server::crypto::{new_api_key, random_hex};
use crate::server::metadata::{CliLogin, NewLogin};
use crate::wire::{LoginRequest, LoginSession, LoginState};
use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

/// Start a login for approval in the browser
#[utoipa::path(post, path = "/v1/cli/login/sessions", tag = "account", security(()),
    request_body = LoginRequest, responses((status = 201, body = LoginSession), ErrorResponses))]
pub(super) async fn begin(
    State(api): SharedState,
    Body(request): Body<LoginRequest>,
) -> Result<(StatusCode, Json<LoginSession>), ErrorResponse> {
    let device = request.device_name.unwrap_or_else(|| "an unnamed device".to_owned());
    let key_expires_at = match request.expires_at.as_deref().map(str::parse::<jiff::Timestamp>) {
        None => None,
        Some(Ok(end)) => Some(end),
        Some(Err(_)) => return Err(ErrorResponse::bad_request("expires_at must be an RFC 3339 timestamp")),
    };
    let (device, poll_token) = (crate::util::format::printable(&device, 80), random_hex(24));
    let key_name = request.name.map(|name| crate::util::format::printable(&name, 80));
    let new = NewLogin { device: &device, poll_token: &poll_token, key_name: key_name.as_deref(), key_expires_at };
    let Some((session_id, end)) = api.core.store.add_login(&new).await? else {
        return Err(ErrorResponse::too_many_requests("too many pending logins; try again in a few minutes", 60));
    };
    let session = LoginSession { session_id, poll_token, expires_at: end.to_string(), state: "pending".into() };
    Ok((StatusCode::CREATED, Json(session)))
}

/// Get the state of a login
///
/// The API key is returned once.
#[utoipa::path(get, path = "/v1/cli/login/sessions/{id}", tag = "account", security(()),
    params(("X-CapyDB-Poll-Token" = String, Header, description = "`poll_token` of the login session")),
    responses((status = 200, body = LoginState), ErrorResponses))]
pub(super) async fn state(
    State(api): SharedState,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> JsonResult<LoginState> {
    let token = headers.get("x-capydb-poll-token").and_then(|value| value.to_str().ok());
    let Some(token) = token else {
        return Err(ErrorResponse::unauthorized("missing header X-CapyDB-Poll-Token"));
    };
    let login = api.core.store.login(&id, Some(token)).await?;
    let login = login.ok_or_else(|| ErrorResponse::not_found("login not found"))?;
    if login.state == "pending" && login.expired {
        return Ok(Json(LoginState { state: "expired".into(), ..LoginState::default() }));
    }
    let key = match api.core.store.take_login_key(&id).await? {
        Some(sealed) => Some(api.core.secret_box.open(&sealed)?),
        None => None,
    };
    let organization = login.organization.filter(|_| login.state == "approved");
    Ok(Json(LoginState {
        state: login.state,
        organization_id: organization.as_ref().map(|found| found.id.clone()),
        organization_name: organization.as_ref().map(|found| found.name.clone()),
        organization_slug: organization.map(|found| found.slug),
        plaintext_api_key: key,
    }))
}

#[derive(Deserialize)]
pub(super) struct LoginPageQuery {
    #[serde(default)]
    session: String,
}

/// The approval page.
pub(super) async fn page(
    State(api): SharedState,
    Query(query): Query<LoginPageQuery>,
) -> Result<Response, ErrorResponse> {
    Ok(match api.core.store.login(&query.session, None).await? {
        Some(login) if login.state == "pending" && !login.expired => {
            html_page(StatusCode::OK, &form(&query.session, &login, ""))
        }
        _ => html_page(
            StatusCode::NOT_FOUND,
            "<p>This login link is invalid or expired. Run <code>capydb login</code> again.</p>",
        ),
    })
}

#[derive(Deserialize)]
pub(super) struct Decision {
    session: String,
    #[serde(default)]
    api_key: String,
    #[serde(default, rename = "decision")]
    answer: String,
}

pub(super) async fn decide(State(api): SharedState, Form(decision): Form<Decision>) -> Result<Response, ErrorResponse> {
    let expired = || Ok(html_page(StatusCode::NOT_FOUND, "<p>This login link is invalid or expired.</p>"));
    let is_pending = |login: &CliLogin| login.state == "pending" && !login.expired;
    let Some(login) = api.core.store.login(&decision.session, None).await?.filter(is_pending) else { return expired() };
    if decision.answer == "deny" {
        api.core.store.deny_login(&decision.session).await?;
        return Ok(html_page(StatusCode::OK, "<p>Denied. You can close this page.</p>"));
    }
    let again = |status, message: &str| {
        let page = form(&decision.session, &login, &format!("<p><strong>{message}</strong></p>"));
        Ok(html_page(status, &page))
    };
    if decision.answer != "approve" {
        return again(StatusCode::BAD_REQUEST, "Choose Approve or Deny.");
    }
    let Some(caller) = api.core.store.caller(decision.api_key.trim()).await? else {
        return again(StatusCode::UNAUTHORIZED, "Invalid API key.");
    };
    let key = new_api_key();
    if !api.core.store.approve_login(&decision.session, &caller, &key, &api.core.secret_box.seal(&key)?).await? {
        return expired();
    }
    Ok(html_page(StatusCode::OK, "<p>Approved. You can close this page and return to the terminal.</p>"))
}

fn form(session: &str, login: &CliLogin, above: &str) -> String {
    let code = escaped(&crate::util::format::short_code(session));
    let (session, device) = (escaped(session), escaped(&login.device_name));
    format!(
        "{above}<p>The CLI on <strong>{device}</strong> requests an API key. Approve only if you just ran \
         <code>capydb login</code> there and it shows the code <strong>{code}</strong>. Approval needs an existing \
         API key; <code>capydb dev</code> prints where its key is stored.</p>\
         <form method=\"post\" action=\"/dashboard/cli/login\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"session\" value=\"{session}\">\
         <p><label>API key <input type=\"password\" name=\"api_key\" size=\"60\" required autofocus></label></p>\
         <p><button name=\"decision\" value=\"approve\">Approve</button> \
         <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button></p></form>"
    )
}

fn html_page(status: StatusCode, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>CapyDB login</title><main><h1>Log in to CapyDB</h1>{body}</main></html>"
    );
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
