//! The description of the API, made from the code that answers it.

use crate::wire::ApiError;
use axum::Json;
use std::sync::OnceLock;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::{IntoResponses, OpenApi};

/// What every call may answer outside of 2xx.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum ErrorResponses {
    /// The call is not right, or cannot be done; the sentence says why
    #[response(status = "4XX")]
    Caller(ApiError),
    /// The control plane failed, or could not do it in time
    #[response(status = "5XX")]
    Us(ApiError),
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(ApiError)),
    info(
        title = "CapyDB control plane",
        description = "Imports of Postgres databases into projects, and what belongs to them. Times are RFC 3339, sizes \
                   bytes. Calls need an API key, as a bearer token or in the header `X-API-Key`."
    )
)]
struct About;

static DOCUMENT: OnceLock<String> = OnceLock::new();

/// The part of the description that no call has.
pub(super) fn base_document() -> Document {
    let mut document = About::openapi();
    document.servers = Some(vec![ServerBuilder::new().url(super::BASE).build()]);
    document
}

/// Remembers the description, with what all calls have in common.
pub(super) fn remember(mut document: Document) {
    let components = document.components.get_or_insert_default();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("capy_live_…").build();
    components.add_security_scheme("api_key", SecurityScheme::Http(key));
    document.security = Some(vec![SecurityRequirement::new("api_key", Vec::<String>::new())]);
    DOCUMENT.get_or_init(|| document.to_json().unwrap_or_default());
}

/// This description
#[utoipa::path(get, path = "/v1/openapi.json", tag = "service", security(()),
    responses((status = 200, description = "An OpenAPI document", body = Object)))]
pub(super) async fn document() -> Json<Box<serde_json::value::RawValue>> {
    let text = DOCUMENT.get().cloned().unwrap_or_else(|| "{}".to_owned());
    Json(serde_json::value::RawValue::from_string(text).unwrap_or_default())
}
