//! The OpenAPI document, generated from the handlers.

use crate::wire::ApiError;
use axum::Json;
use std::sync::OnceLock;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::{IntoResponses, OpenApi};

/// Error responses of every endpoint.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "used for the OpenAPI document only")]
pub(super) enum ErrorResponses {
    /// Invalid or rejected request; `error` has the reason
    #[response(status = "4XX")]
    Client(ApiError),
    /// Internal error or timeout
    #[response(status = "5XX")]
    Server(ApiError),
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(ApiError)),
    info(
        title = "CapyDB control plane",
        description = "Import Postgres databases into projects. Times are RFC 3339, sizes are in bytes. Requests need \
                   an API key, as a bearer token or in the `X-API-Key` header."
    )
)]
struct About;

static DOCUMENT: OnceLock<String> = OnceLock::new();

/// The document without endpoints.
pub(super) fn base_document() -> Document {
    let mut document = About::openapi();
    document.servers = Some(vec![ServerBuilder::new().url(super::BASE).build()]);
    document
}

/// Adds the security scheme and stores the document.
pub(super) fn remember(mut document: Document) {
    let components = document.components.get_or_insert_default();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("capy_live_…").build();
    components.add_security_scheme("api_key", SecurityScheme::Http(key));
    document.security = Some(vec![SecurityRequirement::new("api_key", Vec::<String>::new())]);
    DOCUMENT.get_or_init(|| document.to_json().unwrap_or_default());
}

/// Get this OpenAPI document
#[utoipa::path(get, path = "/v1/openapi.json", tag = "service", security(()),
    responses((status = 200, description = "An OpenAPI document", body = Object)))]
pub(super) async fn document() -> Json<Box<serde_json::value::RawValue>> {
    let text = DOCUMENT.get().cloned().unwrap_or_else(|| "{}".to_owned());
    Json(serde_json::value::RawValue::from_string(text).unwrap_or_default())
}
