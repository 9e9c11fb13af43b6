//! Receives uploads to presigned URLs; responses follow S3.

use super::BASE;
use super::SharedState;
use super::state::ApiState;
use crate::server::objects::{Disk, ObjectError, Objects, SignedQuery};
use crate::wire::{S3Error, UploadPart, crc64_text};
use axum::body::{Body, BodyDataStream};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Maximum time to read the rest of a rejected upload.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn receive(
    State(api): SharedState,
    Path(key): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    // A separate task: it completes even if the client disconnects.
    let storing = tokio::spawn(async move {
        let stored = store(&api, &key, &uri, &headers, &mut body).await;
        if stored.is_err() {
            tokio::spawn(drain(body));
        }
        stored
    });
    match storing.await.unwrap_or_else(|error| Err(ObjectError::Storage(std::io::Error::other(error)))) {
        // As S3: the client compares the checksum with what it sent.
        Ok(crc64) => {
            let sum = crc64_text(crc64);
            let tag = format!("\"{crc64:016x}\"");
            [(header::ETAG, tag), (HeaderName::from_static("x-amz-checksum-crc64nvme"), sum)].into_response()
        }
        Err(error) => answer(&error),
    }
}

/// Reads on after a rejection, up to [`DRAIN_TIMEOUT`]: a client that is still sending would
/// otherwise see a reset connection instead of the error.
async fn drain(mut body: BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await; // then the connection is closed
}

/// The signed query of a URL. The path must match exactly: an equivalent encoding is not the URL
/// that was signed.
fn signed(uri: &Uri, key: &str) -> Option<SignedQuery> {
    let signed = SignedQuery::parse(uri.query()?)?;
    (uri.path() == format!("{BASE}/objects/{key}")).then_some(signed)
}

async fn store(
    api: &ApiState,
    key: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<u64, ObjectError> {
    let signed = signed(uri, key).ok_or(ObjectError::Signature)?;
    // With a bucket, no URL is signed for this endpoint.
    let Objects::Disk(disk) = &api.core.objects else { return Err(ObjectError::Signature) };
    disk.check(key, &signed)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length.ok_or(ObjectError::NoLength)?;
    match signed.part {
        Some(part) => store_part(api, disk, key, (part, length), body).await,
        None => store_whole(api, disk, key, length, body).await,
    }
}

async fn store_whole(
    api: &ApiState,
    disk: &Disk,
    key: &str,
    length: u64,
    body: &mut BodyDataStream,
) -> Result<u64, ObjectError> {
    let upload = api.core.store.upload(key).await.map_err(internal)?.ok_or(ObjectError::Signature)?;
    if upload.size.is_some() {
        return Err(ObjectError::Used);
    }
    let project =
        api.core.store.project(&upload.project_id).await.map_err(internal)?.ok_or(ObjectError::Signature)?.project;
    if length > project.storage_limit_bytes {
        return Err(ObjectError::TooLarge(length, project.storage_limit_bytes));
    }
    let crc64 = disk.put(key, length, body).await?;
    if !api.core.store.finish_upload(key, length).await.map_err(internal)? {
        disk.delete(key)?;
        return Err(ObjectError::Expired);
    }
    Ok(crc64)
}

async fn store_part(
    api: &ApiState,
    disk: &Disk,
    key: &str,
    (part, length): (u32, u64),
    body: &mut BodyDataStream,
) -> Result<u64, ObjectError> {
    let lock = Arc::new(disk.lock(key, part).await?);
    // Read under the lock, so that the upload cannot be completed concurrently.
    let upload = api.core.store.upload(key).await.map_err(internal)?.ok_or(ObjectError::NoUpload)?;
    let range = upload.in_parts.and_then(|upload| upload.range(part)).ok_or(ObjectError::NoUpload)?;
    if upload.size.is_some() {
        return Err(ObjectError::Used);
    }
    if length != range.1 {
        return Err(ObjectError::WrongLength(range.1));
    }
    let file = disk.unfinished(key)?;
    // An interrupted write leaves neither the old nor the new part.
    api.core.store.remove_part(key, part).await.map_err(internal)?;
    let crc64 = disk.put_part(file, range, body, lock.clone()).await?;
    let checksum_crc64nvme = Some(crc64_text(crc64));
    let arrived = UploadPart { part_number: part, size_bytes: length, etag: None, checksum_crc64nvme };
    if api.core.store.add_part(key, &arrived).await.map_err(internal)? { Ok(crc64) } else { Err(ObjectError::NoUpload) }
}

fn internal(error: anyhow::Error) -> ObjectError {
    ObjectError::Storage(std::io::Error::other(error))
}

fn answer(error: &ObjectError) -> Response {
    let (status, code) = match error {
        ObjectError::Signature => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
        ObjectError::Expired | ObjectError::Used => (StatusCode::FORBIDDEN, "AccessDenied"),
        ObjectError::NoUpload => (StatusCode::NOT_FOUND, "NoSuchUpload"),
        ObjectError::Superseded => (StatusCode::CONFLICT, "OperationAborted"),
        ObjectError::WrongLength(_) => (StatusCode::BAD_REQUEST, "InvalidPart"),
        ObjectError::NoLength => (StatusCode::LENGTH_REQUIRED, "MissingContentLength"),
        ObjectError::TooLarge(..) => (StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge"),
        ObjectError::Incomplete => (StatusCode::BAD_REQUEST, "IncompleteBody"),
        ObjectError::Stalled => (StatusCode::BAD_REQUEST, "RequestTimeout"),
        ObjectError::NotEnoughSpace => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        ObjectError::Storage(error) => {
            tracing::error!("cannot store an upload: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
    };
    let xml = S3Error { code: code.to_owned(), message: error.to_string() }.to_xml();
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}
