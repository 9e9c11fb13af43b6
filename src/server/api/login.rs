//! Logging a machine in: it begins a session, a person approves it on a page with a key that
//! they have, and the machine fetches a key of its own, once.

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

/// Begin a login that a person approves in the browser
#[utoipa::path(post, path = "/v1/cli/login/sessions", tag = "account", security(()),
    request_body = LoginRequest, responses((status = 201, body = LoginSession), ErrorResponses))]
pub(super) async fn begin(
    State(api): SharedState,
    Body(request): Body<LoginRequest>,
) -> Result<(StatusCode, Json<LoginSession>), ErrorResponse> {
    let device = request.device_name.unwrap_or_else(|| "a machine that gave no name".to_owned());
    let key_expires_at = match request.expires_at.as_deref().map(str::parse::<jiff::Timestamp>) {
        None => None,
        Some(Ok(end)) => Some(end),
        Some(Err(_)) => return Err(ErrorResponse::bad_request("expires_at must be a time as in RFC 3339")),
    };
    let (device, poll_token) = (crate::util::format::printable(&device, 80), random_hex(24));
    let key_name = request.name.map(|name| crate::util::format::printable(&name, 80));
    let new = NewLogin { device: &device, poll_token: &poll_token, key_name: key_name.as_deref(), key_expires_at };
    let Some((session_id, end)) = api.core.store.add_login(&new).await? else {
        return Err(ErrorResponse::too_many_requests(
            "too many logins wait for approval; try again in a few minutes",
            60,
        ));
    };
    let session = LoginSession { session_id, poll_token, expires_at: end.to_string(), state: "pending".into() };
    Ok((StatusCode::CREATED, Json(session)))
}

/// Where a login stands; the key comes once
#[utoipa::path(get, path = "/v1/cli/login/sessions/{id}", tag = "account", security(()),
    params(("X-CapyDB-Poll-Token" = String, Header, description = "What the session was begun with")),
    responses((status = 200, body = LoginState), ErrorResponses))]
pub(super) async fn state(
    State(api): SharedState,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> JsonResult<LoginState> {
    let token = headers.get("x-capydb-poll-token").and_then(|value| value.to_str().ok());
    let Some(token) = token else {
        return Err(ErrorResponse::unauthorized("the header X-CapyDB-Poll-Token is missing"));
    };
    let login = api.core.store.login(&id, Some(token)).await?;
    let login = login.ok_or_else(|| ErrorResponse::not_found("there is no such login"))?;
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

/// The page on which a person approves.
pub(super) async fn page(
    State(api): SharedState,
    Query(retry_after): Query<LoginPageQuery>,
) -> Result<Response, ErrorResponse> {
    Ok(match api.core.store.login(&retry_after.session, None).await? {
        Some(login) if login.state == "pending" && !login.expired => {
            shown(StatusCode::OK, &form(&retry_after.session, &login, ""))
        }
        _ => shown(
            StatusCode::NOT_FOUND,
            "<p>There is no login that waits under this address. Run <code>capydb login</code> again.</p>",
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
    let over = || Ok(shown(StatusCode::NOT_FOUND, "<p>This login does not wait any more.</p>"));
    let waits = |login: &CliLogin| login.state == "pending" && !login.expired;
    let Some(login) = api.core.store.login(&decision.session, None).await?.filter(waits) else { return over() };
    if decision.answer == "deny" {
        api.core.store.deny_login(&decision.session).await?;
        return Ok(shown(StatusCode::OK, "<p>Denied. You can close this page.</p>"));
    }
    let again = |status, message: &str| {
        let page = form(&decision.session, &login, &format!("<p><strong>{message}</strong></p>"));
        Ok(shown(status, &page))
    };
    if decision.answer != "approve" {
        return again(StatusCode::BAD_REQUEST, "Approve or deny it.");
    }
    let Some(caller) = api.core.store.caller(decision.api_key.trim()).await? else {
        return again(StatusCode::UNAUTHORIZED, "That key is not valid.");
    };
    let key = new_api_key();
    if !api.core.store.approve_login(&decision.session, &caller, &key, &api.core.secret_box.seal(&key)?).await? {
        return over();
    }
    Ok(shown(StatusCode::OK, "<p>Approved. You can close this page and go back to the terminal.</p>"))
}

fn form(session: &str, login: &CliLogin, above: &str) -> String {
    let code = escaped(&crate::util::format::short_code(session));
    let (session, device) = (escaped(session), escaped(&login.device_name));
    format!(
        "{above}<p>The command line on <strong>{device}</strong> asks for a key. Approve only if you have just run \
         <code>capydb login</code> there and it shows the code <strong>{code}</strong>. It takes a key that you have; \
         <code>capydb dev</code> says where its own is.</p>\
         <form method=\"post\" action=\"/dashboard/cli/login\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"session\" value=\"{session}\">\
         <p><label>API key <input type=\"password\" name=\"api_key\" size=\"60\" required autofocus></label></p>\
         <p><button name=\"decision\" value=\"approve\">Approve</button> \
         <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button></p></form>"
    )
}

fn shown(status: StatusCode, body: &str) -> Response {
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
