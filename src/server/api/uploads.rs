//! Upload endpoints: single `PUT` and multipart. The bytes go to [`objects`].

use super::auth::{Authorized, visible_project};
use super::body::{Body, Path, unread};
use super::error::ErrorResponse;
use super::limits::COST_EXPENSIVE;
use super::openapi::ErrorResponses;
use super::state::ApiState;
use super::{JsonResult, SharedState};
use crate::server::metadata::{Caller, MultipartSpec, UploadRow};
use crate::server::objects::{self, ObjectError, URL_LIFETIME};
use crate::util::format::bytes;
use crate::wire::{
    CompleteRequest, PartSlot, PartsAnswer, PartsRequest, Project, Upload, UploadAnswer, UploadPart, UploadRequest,
    UploadSlot, UploadSlotAnswer,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use std::collections::HashMap;

/// Maximum number of URLs signed per request.
const MAX_URLS: usize = 100;
/// Incomplete uploads of a project may reserve this multiple of its plan limit, because clients
/// abandon uploads and start over.
const MAX_OPEN_PLANS: u64 = 4;
const WRONG_BODY: &str = "the request body must be empty or a JSON object with size_bytes and parts";

/// Create an upload
///
/// Returns a multipart upload if requested and the dump is large enough, otherwise a URL for one
/// `PUT`. The body is optional.
#[utoipa::path(post, path = "/v1/projects/{id}/imports/uploads", tag = "uploads",
    request_body = Option<UploadRequest>, responses((status = 200, body = UploadSlotAnswer), ErrorResponses))]
pub(super) async fn begin(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> JsonResult<UploadSlotAnswer> {
    let project = visible_project(&api, &caller, &id).await?.project;
    let body = body.map_err(|error| unread(&error))?;
    let request = match body.trim_ascii() {
        [] | b"null" => UploadRequest::default(),
        [b'{', ..] => serde_json::from_slice(&body).map_err(|_| ErrorResponse::bad_request(WRONG_BODY))?,
        _ => return Err(ErrorResponse::bad_request(WRONG_BODY)),
    };
    api.admission.rate.key(&caller.key_id, COST_EXPENSIVE)?;
    let size = request.size_bytes;
    let limit = project.storage_limit_bytes;
    if size > limit {
        let (dump, plan) = (bytes(size), bytes(limit));
        let message = format!("the dump is {dump} ({size} bytes), over the plan limit of {plan} ({limit} bytes)");
        return Err(ErrorResponse::too_large(message));
    }
    let object_key = objects::new_key();
    let in_parts =
        objects::part_size(size).filter(|_| request.parts).map(|part_size| MultipartSpec { size, part_size });
    if in_parts.is_some() {
        let announced = api.core.store.reserved_bytes(&project.id).await?;
        if announced.saturating_add(size) > limit.saturating_mul(MAX_OPEN_PLANS) {
            let message = "too many incomplete uploads: complete or delete some";
            return Err(ErrorResponse::conflict(message));
        }
    }
    api.core.store.add_upload(&object_key, &project.id, in_parts).await?;
    let row = UploadRow { object_key, project_id: project.id, size: None, in_parts, storage_id: None };
    let mut upload = UploadSlot {
        object_key: row.object_key.clone(),
        upload_url: String::new(),
        expires_at: String::new(),
        id: None,
        part_size_bytes: in_parts.map(|in_parts| in_parts.part_size),
    };
    if in_parts.is_none() {
        upload.upload_url = url(&api, &row, None);
        upload.expires_at = (jiff::Timestamp::now() + URL_LIFETIME).to_string();
        return Ok(Json(UploadSlotAnswer { upload }));
    }
    upload.id = objects::id_of(&row.object_key).map(str::to_owned);
    run_to_completion(async move {
        match api.core.objects.begin(&row.object_key, size).await {
            Ok(Some(id)) => api.core.store.set_storage_id(&row.object_key, &id).await?,
            Ok(None) => {}
            Err(error) => {
                api.core.store.remove_upload(&row.object_key).await?;
                return Err(refused(error));
            }
        }
        Ok(Json(UploadSlotAnswer { upload }))
    })
    .await
}

/// Get a multipart upload and its parts
#[utoipa::path(get, path = "/v1/projects/{id}/imports/uploads/{upload}", tag = "uploads",
    responses((status = 200, body = UploadAnswer), ErrorResponses))]
pub(super) async fn show(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((project, id)): Path<(String, String)>,
) -> JsonResult<UploadAnswer> {
    let (_, row, in_parts) = find_upload(&api, &caller, &project, &id).await?;
    let parts = arrived(&api, &row).await?;
    Ok(shown(&row, in_parts, parts))
}

/// The parts that storage has.
async fn arrived(api: &ApiState, row: &UploadRow) -> Result<Vec<UploadPart>, ErrorResponse> {
    let in_storage = if row.size.is_some() { Ok(None) } else { api.core.objects.parts(row).await };
    match in_storage {
        Ok(Some(parts)) => Ok(parts),
        Ok(None) => Ok(api.core.store.parts(&row.object_key).await?),
        Err(ObjectError::NoUpload) => Err(ErrorResponse::not_found(EXPIRED)),
        Err(error) => Err(refused(error)),
    }
}

/// Sign URLs for parts
#[utoipa::path(post, path = "/v1/projects/{id}/imports/uploads/{upload}/parts", tag = "uploads",
    request_body = PartsRequest, responses((status = 200, body = PartsAnswer), ErrorResponses))]
pub(super) async fn parts(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((project, id)): Path<(String, String)>,
    Body(request): Body<PartsRequest>,
) -> JsonResult<PartsAnswer> {
    let (_, row, in_parts) = find_upload(&api, &caller, &project, &id).await?;
    if row.size.is_some() {
        return Err(ErrorResponse::conflict("the upload is already complete"));
    }
    api.core.store.touch_upload(&row.object_key).await?;
    let numbers = request.part_numbers;
    if numbers.len() > MAX_URLS || numbers.iter().any(|number| in_parts.range(*number).is_none()) {
        let count = in_parts.count();
        return Err(ErrorResponse::bad_request(format!(
            "request at most {MAX_URLS} parts at once, numbered 1 to {count}"
        )));
    }
    let slot = |part_number| PartSlot { part_number, upload_url: url(&api, &row, Some(part_number)) };
    Ok(Json(PartsAnswer { parts: numbers.into_iter().map(slot).collect() }))
}

/// Complete an upload
///
/// Fails with 409 if a part is missing or differs from the request.
#[utoipa::path(post, path = "/v1/projects/{id}/imports/uploads/{upload}/complete", tag = "uploads",
    request_body = CompleteRequest, responses((status = 200, body = UploadAnswer), ErrorResponses))]
pub(super) async fn complete(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((project, id)): Path<(String, String)>,
    Body(request): Body<CompleteRequest>,
) -> JsonResult<UploadAnswer> {
    let (_, row, in_parts) = find_upload(&api, &caller, &project, &id).await?;
    let mut numbers: Vec<u32> = request.parts.iter().map(|part| part.part_number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() != request.parts.len() || numbers.iter().any(|number| in_parts.range(*number).is_none()) {
        return Err(ErrorResponse::bad_request(format!("list each part from 1 to {} exactly once", in_parts.count())));
    }
    if row.size.is_some() {
        return Ok(shown(&row, in_parts, arrived(&api, &row).await?));
    }
    // Checked without the lock first: a request that must fail does not block running uploads.
    if let Err(refused) = check(&api, &row, &request.parts, in_parts).await {
        // A crash after completion in storage: the object exists, its row is not updated yet.
        if api.core.objects.size(&row.object_key).await.ok().flatten() != Some(in_parts.size) {
            return Err(refused);
        }
        finish(&api, &row, in_parts).await?;
        return Ok(shown(&UploadRow { size: Some(in_parts.size), ..row }, in_parts, request.parts));
    }
    run_to_completion(async move {
        let _alone = api.core.objects.lock_exclusively(&row.object_key).await;
        let parts = check(&api, &row, &request.parts, in_parts).await?;
        api.core.objects.complete(&row, &tags(&request.parts, &parts)).await.map_err(refused)?;
        finish(&api, &row, in_parts).await?;
        Ok(shown(&UploadRow { size: Some(in_parts.size), ..row }, in_parts, parts))
    })
    .await
}

/// Records the completed object; removes it if the upload was cancelled meanwhile.
async fn finish(api: &ApiState, row: &UploadRow, in_parts: MultipartSpec) -> Result<(), ErrorResponse> {
    if api.core.store.finish_upload(&row.object_key, in_parts.size).await? {
        return Ok(());
    }
    api.core.objects.remove(&UploadRow { size: Some(in_parts.size), ..row.clone() }).await.map_err(refused)?;
    Err(ErrorResponse::not_found(EXPIRED))
}

/// The entity tags of all parts in order: from storage, or from the client if storage lists none.
/// A client's tag is validated because it goes into a request to storage.
fn tags(sent: &[UploadPart], arrived: &[UploadPart]) -> Vec<String> {
    let plain = |tag: &&String| tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"\"-_".contains(&byte));
    let named = |part: &UploadPart| {
        let sent = sent.iter().find(|sent| sent.part_number == part.part_number);
        part.etag.clone().or_else(|| sent?.etag.as_ref().filter(plain).cloned()).unwrap_or_default()
    };
    arrived.iter().map(named).collect()
}

/// Cancel an upload and delete its parts
#[utoipa::path(delete, path = "/v1/projects/{id}/imports/uploads/{upload}", tag = "uploads",
    responses((status = 200, body = Object), ErrorResponses))]
pub(super) async fn abort(
    State(api): SharedState,
    Authorized(caller): Authorized,
    Path((project, id)): Path<(String, String)>,
) -> JsonResult<serde_json::Value> {
    let (_, row, _) = find_upload(&api, &caller, &project, &id).await?;
    run_to_completion(async move {
        // The lock prevents a concurrent completion.
        let _alone = api.core.objects.lock_exclusively(&row.object_key).await;
        if !api.core.store.abandon_upload(&row.object_key).await? {
            return Err(ErrorResponse::conflict("the upload is already complete"));
        }
        api.core.objects.remove(&row).await.map_err(refused)?;
        api.core.store.remove_upload(&row.object_key).await?;
        Ok(Json(serde_json::json!({})))
    })
    .await
}

const EXPIRED: &str = "upload not found or expired";

/// Completes the work even if the client disconnects.
async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, ErrorResponse>> + Send + 'static,
) -> Result<T, ErrorResponse> {
    tokio::spawn(work).await.map_err(anyhow::Error::from)?
}

/// The parts that storage has, if they match the request.
async fn check(
    api: &ApiState,
    row: &UploadRow,
    sent: &[UploadPart],
    in_parts: MultipartSpec,
) -> Result<Vec<UploadPart>, ErrorResponse> {
    let parts = arrived(api, row).await?;
    match first_difference(sent, &parts, in_parts) {
        Some(message) => Err(ErrorResponse::conflict(message)),
        None => Ok(parts),
    }
}

/// A multipart upload that the caller may see.
async fn find_upload(
    api: &ApiState,
    caller: &Caller,
    project: &str,
    id: &str,
) -> Result<(Project, UploadRow, MultipartSpec), ErrorResponse> {
    let project = visible_project(api, caller, project).await?.project;
    let row = api.core.store.upload(&objects::key_of(id)).await?.filter(|row| row.project_id == project.id);
    let found = row.and_then(|row| row.in_parts.map(|in_parts| (project, row, in_parts)));
    found.ok_or_else(|| ErrorResponse::not_found(EXPIRED))
}

fn shown(row: &UploadRow, in_parts: MultipartSpec, parts: Vec<UploadPart>) -> Json<UploadAnswer> {
    let upload = Upload {
        id: objects::id_of(&row.object_key).unwrap_or_default().to_owned(),
        object_key: row.object_key.clone(),
        size_bytes: in_parts.size,
        part_size_bytes: in_parts.part_size,
        complete: row.size.is_some(),
        parts,
    };
    Json(UploadAnswer { upload })
}

/// The first difference between the request and storage, as an error message.
fn first_difference(sent: &[UploadPart], arrived: &[UploadPart], in_parts: MultipartSpec) -> Option<String> {
    let by_number = |parts: &'_ [UploadPart]| -> HashMap<u32, UploadPart> {
        parts.iter().map(|part| (part.part_number, part.clone())).collect()
    };
    let (sent, arrived) = (by_number(sent), by_number(arrived));
    (1..=in_parts.count()).find_map(|number| {
        let length = in_parts.range(number).map(|(_, length)| length);
        let Some(arrived) = arrived.get(&number) else { return Some(format!("part {number} has not been uploaded")) };
        let Some(sent) = sent.get(&number) else { return Some(format!("part {number} is not in the request")) };
        let bare = |text: &Option<String>| text.as_deref().map(|text| text.trim_matches('"').to_owned());
        let differ = |ours, theirs| bare(ours).zip(bare(theirs)).is_some_and(|(ours, theirs)| ours != theirs);
        let other = differ(&sent.checksum_crc64nvme, &arrived.checksum_crc64nvme) || differ(&sent.etag, &arrived.etag);
        (other || Some(arrived.size_bytes) != length)
            .then(|| format!("part {number} differs from the part that was sent"))
    })
}

fn url(api: &ApiState, row: &UploadRow, part: Option<u32>) -> String {
    api.core.objects.url(&api.host.api_url(), row, part)
}

fn refused(error: ObjectError) -> ErrorResponse {
    match error {
        ObjectError::Used => ErrorResponse::conflict(error.to_string()),
        ObjectError::NotEnoughSpace => ErrorResponse::insufficient_storage(error.to_string()),
        ObjectError::Storage(error) => anyhow::Error::from(error).context("store an upload").into(),
        other => ErrorResponse::bad_request(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_must_arrive_unchanged() {
        let spec = MultipartSpec { size: 25, part_size: 10 };
        let part = |part_number: u32, size_bytes, checksum: &str| UploadPart {
            part_number,
            size_bytes,
            etag: None,
            checksum_crc64nvme: Some(checksum.to_owned()),
        };
        let all = [part(1, 10, "a"), part(2, 10, "b"), part(3, 5, "c")];
        assert_eq!(first_difference(&all, &all, spec), None);
        let message =
            |sent: &[UploadPart], arrived: &[UploadPart]| first_difference(sent, arrived, spec).expect("a difference");
        assert_eq!(message(&all, &all[..2]), "part 3 has not been uploaded");
        assert_eq!(message(&all[1..], &all), "part 1 is not in the request");
        let altered = [all[0].clone(), part(2, 10, "x"), all[2].clone()];
        assert_eq!(message(&all, &altered), "part 2 differs from the part that was sent");
        let short = [all[0].clone(), part(2, 9, "b"), all[2].clone()];
        assert_eq!(message(&all, &short), "part 2 differs from the part that was sent");
    }
}
