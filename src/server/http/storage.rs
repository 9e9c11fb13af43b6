//! The receiving end of presigned upload URLs. Answers are those of S3.

use super::BASE;
use super::Shared;
use crate::server::App;
use crate::server::objects::{Disk, Objects, Refusal, Ticket};
use crate::wire::{UploadPart, crc64_text};
use axum::body::{Body, BodyDataStream};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// How long what is refused is read all the same.
const LINGER: Duration = Duration::from_secs(5);

pub(super) async fn receive(
    State(app): Shared,
    Path(key): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    // Whoever sends may hang up at any moment; what is begun is done all the same.
    let storing = tokio::spawn(async move {
        let stored = store(&app, &key, &uri, &headers, &mut body).await;
        if stored.is_err() {
            tokio::spawn(linger(body));
        }
        stored
    });
    match storing.await.unwrap_or_else(|error| Err(Refusal::Storage(std::io::Error::other(error)))) {
        // What S3 answers: by this the sender knows that all arrived as it was sent.
        Ok(crc64) => {
            let sum = crc64_text(crc64);
            let tag = format!("\"{crc64:016x}\"");
            [(header::ETAG, tag), (HeaderName::from_static("x-amz-checksum-crc64nvme"), sum)].into_response()
        }
        Err(refusal) => answer(&refusal),
    }
}

/// Goes on reading for a while what is refused: whoever is in the middle of sending hears why only
/// then, instead of seeing the connection break.
async fn linger(mut body: BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    let _ = tokio::time::timeout(LINGER, rest).await; // the connection is closed after that
}

/// The ticket of a URL that is ours to the last character: whatever else would mean the same
/// after decoding is not the URL that was signed.
fn ticket(uri: &Uri, key: &str) -> Option<Ticket> {
    let ticket = Ticket::parse(uri.query()?)?;
    (uri.path() == format!("{BASE}/objects/{key}")).then_some(ticket)
}

async fn store(
    app: &App,
    key: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<u64, Refusal> {
    let ticket = ticket(uri, key).ok_or(Refusal::Signature)?;
    // Where a bucket receives, nothing is signed for us.
    let Objects::Disk(disk) = &app.objects else { return Err(Refusal::Signature) };
    disk.check(key, &ticket)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length.ok_or(Refusal::NoLength)?;
    match ticket.part {
        Some(part) => store_part(app, disk, key, (part, length), body).await,
        None => store_whole(app, disk, key, length, body).await,
    }
}

async fn store_whole(
    app: &App,
    disk: &Disk,
    key: &str,
    length: u64,
    body: &mut BodyDataStream,
) -> Result<u64, Refusal> {
    let upload = app.store.upload(key).await.map_err(internal)?.ok_or(Refusal::Signature)?;
    if upload.size.is_some() {
        return Err(Refusal::Used);
    }
    let project = app.store.project(&upload.project_id).await.map_err(internal)?.ok_or(Refusal::Signature)?.project;
    if length > project.storage_limit_bytes {
        return Err(Refusal::TooLarge(length, project.storage_limit_bytes));
    }
    let crc64 = disk.put(key, length, body).await?;
    if !app.store.finish_upload(key, length).await.map_err(internal)? {
        disk.delete(key)?;
        return Err(Refusal::Expired);
    }
    Ok(crc64)
}

async fn store_part(
    app: &App,
    disk: &Disk,
    key: &str,
    (part, length): (u32, u64),
    body: &mut BodyDataStream,
) -> Result<u64, Refusal> {
    let turn = Arc::new(disk.turn(key, part).await?);
    // Asked now, when nobody completes it meanwhile.
    let upload = app.store.upload(key).await.map_err(internal)?.ok_or(Refusal::NoUpload)?;
    let range = upload.in_parts.and_then(|upload| upload.range(part)).ok_or(Refusal::NoUpload)?;
    if upload.size.is_some() {
        return Err(Refusal::Used);
    }
    if length != range.1 {
        return Err(Refusal::WrongLength(range.1));
    }
    let file = disk.unfinished(key)?;
    // Should it break off, what is there is neither the old nor the new.
    app.store.remove_part(key, part).await.map_err(internal)?;
    let crc64 = disk.put_part(file, range, body, turn.clone()).await?;
    let checksum_crc64nvme = Some(crc64_text(crc64));
    let arrived = UploadPart { part_number: part, size_bytes: length, etag: None, checksum_crc64nvme };
    if app.store.add_part(key, &arrived).await.map_err(internal)? { Ok(crc64) } else { Err(Refusal::NoUpload) }
}

fn internal(error: anyhow::Error) -> Refusal {
    Refusal::Storage(std::io::Error::other(error))
}

fn answer(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::Signature => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
        Refusal::Expired | Refusal::Used => (StatusCode::FORBIDDEN, "AccessDenied"),
        Refusal::NoUpload => (StatusCode::NOT_FOUND, "NoSuchUpload"),
        Refusal::Superseded => (StatusCode::CONFLICT, "OperationAborted"),
        Refusal::WrongLength(_) => (StatusCode::BAD_REQUEST, "InvalidPart"),
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
