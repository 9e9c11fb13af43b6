//! The receiving end of presigned upload URLs. Answers are those of S3.

use super::BASE;
use super::Shared;
use crate::server::App;
use crate::server::objects::{Refusal, Ticket};
use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

pub(super) async fn receive(
    State(app): Shared,
    Path(key): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let stored = match ticket(&uri, &key) {
        Some(ticket) => store(&app, &key, &ticket, &headers, body).await,
        None => Err(Refusal::Signature),
    };
    match stored {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => answer(&refusal),
    }
}

/// The ticket of a URL that is ours to the last character: whatever else would mean the same
/// after decoding is not the URL that was signed.
fn ticket(uri: &Uri, key: &str) -> Option<Ticket> {
    let ticket = Ticket::parse(uri.query()?)?;
    (uri.path() == format!("{BASE}/objects/{key}")).then_some(ticket)
}

async fn store(app: &App, key: &str, ticket: &Ticket, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    app.objects.check(key, ticket)?;
    let internal = |error: anyhow::Error| Refusal::Storage(std::io::Error::other(error));
    let (project, arrived) = app.store.upload(key).await.map_err(internal)?.ok_or(Refusal::Signature)?;
    if arrived {
        return Err(Refusal::Used);
    }
    let project = app.store.project(&project).await.map_err(internal)?.ok_or(Refusal::Signature)?.project;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length.ok_or(Refusal::NoLength)?;
    if length > project.storage_limit_bytes {
        return Err(Refusal::TooLarge(length, project.storage_limit_bytes));
    }
    app.objects.put(key, length, body.into_data_stream()).await?;
    if !app.store.finish_upload(key, length).await.map_err(internal)? {
        app.objects.delete(key)?;
        return Err(Refusal::Expired);
    }
    Ok(())
}

fn answer(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::Signature => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
        Refusal::Expired | Refusal::Used => (StatusCode::FORBIDDEN, "AccessDenied"),
        Refusal::NoLength => (StatusCode::LENGTH_REQUIRED, "MissingContentLength"),
        Refusal::TooLarge(..) => (StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge"),
        Refusal::Incomplete => (StatusCode::BAD_REQUEST, "IncompleteBody"),
        Refusal::Stalled => (StatusCode::BAD_REQUEST, "RequestTimeout"),
        Refusal::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        Refusal::Storage(error) => {
            tracing::error!("an upload could not be stored: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
    };
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{refusal}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}
