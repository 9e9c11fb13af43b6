//! Multipart uploads.

use super::adaptive_concurrency::AdaptiveConcurrency;
use super::journal::Journal;
use super::{MAX_NEW_URLS, UploadEvent, UploadRun, Uploaded};
use crate::client::CallError;
use crate::client::storage::{Put, UploadConnection, UploadError};
use crate::wire::{self, UploadPart, crc64_of_text, crc64_text};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::Mutex;

/// Number of presigned URLs to request per call.
const URLS_PER_REQUEST: usize = 32;

/// Maximum number of parts (Amazon S3 user guide, "Multipart upload limits").
const MAX_PARTS: u64 = 10_000;
/// Maximum number of attempts to complete an upload, each resending parts that storage lost.
const MAX_ROUNDS: u32 = 3;

/// State shared by the parts of one upload.
struct Parts<'a> {
    id: &'a str,
    part_size: u64,
    /// Numbers of the parts that are not stored yet.
    missing: RefCell<BTreeSet<u32>>,
    urls: RefCell<HashMap<u32, String>>,
    /// Held while requesting more URLs.
    url_lock: Mutex<()>,
}

impl UploadRun<'_> {
    /// Resumes an upload. `ours` are the checksums of the parts that storage confirmed; other
    /// stored parts are sent again.
    pub(super) async fn resume(
        &self,
        state: wire::Upload,
        ours: &BTreeMap<u32, u64>,
        journal: Option<Journal>,
    ) -> Result<Uploaded, UploadError> {
        if state.complete {
            self.progress.store(self.source_file.identity.size, Ordering::Relaxed);
            (self.notify)(UploadEvent::AlreadyUploaded);
            return Ok(Uploaded { key: state.object_key, journal });
        }
        let agreed = |part: &UploadPart| {
            let sum = part.checksum_crc64nvme.as_deref().and_then(crc64_of_text);
            // Without a checksum from storage, the check made when the part arrived counts.
            let same = ours.get(&part.part_number).is_some_and(|ours| sum.is_none_or(|sum| sum == *ours));
            same && part.size_bytes > 0 && part.size_bytes == self.length(part.part_number, state.part_size_bytes)
        };
        let mut stored = BTreeMap::new();
        for mut part in state.parts.into_iter().filter(agreed) {
            part.checksum_crc64nvme = ours.get(&part.part_number).map(|crc64| crc64_text(*crc64));
            stored.insert(part.part_number, part);
        }
        let bytes = stored.values().map(|part: &UploadPart| part.size_bytes).sum();
        self.progress.store(bytes, Ordering::Relaxed);
        (self.notify)(UploadEvent::Resumed(bytes));
        self.send_parts(&state.id, state.part_size_bytes, stored, journal).await
    }

    /// Sends the missing parts concurrently and completes the upload.
    pub(super) async fn send_parts(
        &self,
        id: &str,
        part_size: u64,
        mut stored: BTreeMap<u32, UploadPart>,
        mut journal: Option<Journal>,
    ) -> Result<Uploaded, UploadError> {
        if journal.is_some() {
            (self.notify)(UploadEvent::Resumable);
        }
        let size = self.source_file.identity.size;
        let count = size.checked_div(part_size).filter(|count| *count <= MAX_PARTS);
        let count = count.and_then(|_| u32::try_from(size.div_ceil(part_size)).ok());
        let count = count.ok_or_else(|| UploadError::Unusable(format!("invalid part size of {part_size} bytes")))?;
        let mut rounds = 0;
        loop {
            let missing: BTreeSet<u32> = (1..=count).filter(|number| !stored.contains_key(number)).collect();
            let parts =
                Parts { id, part_size, missing: missing.into(), urls: RefCell::default(), url_lock: Mutex::default() };
            let sent = self.send_missing(&parts, &mut stored, journal.as_mut()).await;
            if let Err(error) = sent.and_then(|()| self.check_unchanged()) {
                return Err(self.discard_if_gone(error, id, journal).await);
            }
            let all: Vec<UploadPart> = stored.values().cloned().collect();
            let began = Instant::now();
            let refused = match self.retry_call(|| self.api.complete_upload(self.project, id, all.clone())).await {
                Ok(object) => return Ok(Uploaded { key: object.object_key, journal }),
                Err(UploadError::Call(error)) if matches!(error.status(), Some(409)) => error,
                Err(error) => return Err(self.discard_if_gone(error, id, journal).await),
            };
            // Storage lost or damaged some parts, or its first response was lost.
            let state = self.retry_call(|| self.api.upload(self.project, id)).await?;
            if state.complete {
                return Ok(Uploaded { key: state.object_key, journal });
            }
            self.drop_differing(&state, &mut stored);
            rounds += 1;
            if stored.len() == count as usize || rounds == MAX_ROUNDS {
                return Err(refused.into());
            }
            self.pause(UploadError::Damaged(self.api.host()), began).await?;
        }
    }

    async fn send_missing(
        &self,
        parts: &Parts<'_>,
        stored: &mut BTreeMap<u32, UploadPart>,
        mut journal: Option<&mut Journal>,
    ) -> Result<(), UploadError> {
        let mut queue = parts.missing.borrow().clone().into_iter();
        let mut streams = AdaptiveConcurrency::new(self.options.concurrency, Instant::now());
        let (mut running, mut connections) = (FuturesUnordered::new(), Vec::<UploadConnection>::new());
        loop {
            while running.len() < streams.now()
                && let Some(number) = queue.next()
            {
                running.push(self.part(parts, number, connections.pop()));
            }
            let Some(ended) = running.next().await else { return Ok(()) };
            let (part, connection) = ended?;
            connections.extend(connection);
            parts.missing.borrow_mut().remove(&part.part_number);
            self.budget.borrow_mut().success();
            streams.stored(part.size_bytes, Instant::now());
            let sum = part.checksum_crc64nvme.as_deref().and_then(crc64_of_text);
            if let (Some(journal), Some(crc64)) = (&mut journal, sum) {
                journal.stored(part.part_number, crc64);
            }
            stored.insert(part.part_number, part);
        }
    }

    /// Sends one part, retrying until it is stored.
    async fn part(
        &self,
        parts: &Parts<'_>,
        number: u32,
        mut connection: Option<UploadConnection>,
    ) -> Result<(UploadPart, Option<UploadConnection>), UploadError> {
        let (start, length) = (u64::from(number - 1) * parts.part_size, self.length(number, parts.part_size));
        let mut others = 0;
        loop {
            let began = Instant::now();
            let url = self.retry_call(|| self.url(parts, number)).await?;
            let put = Put { file: self.source_file.file, start, length, url: &url };
            let sent = self.storage.put(&mut connection, &put, self.progress).await;
            let error = match sent {
                Ok(stored) => {
                    let checksum_crc64nvme = Some(crc64_text(stored.crc64));
                    let etag = stored.etag;
                    let part = UploadPart { part_number: number, size_bytes: length, etag, checksum_crc64nvme };
                    return Ok((part, connection));
                }
                Err(error) => error,
            };
            self.check_unchanged()?;
            if error.needs_new_url() && others < MAX_NEW_URLS {
                others += 1;
                tracing::debug!("{error}; requesting another URL");
                continue;
            }
            others = 0;
            self.pause(error, began).await?;
        }
    }

    /// The presigned URL of a part; each URL is used once. Also requests URLs for the parts that
    /// follow.
    async fn url(&self, parts: &Parts<'_>, number: u32) -> Result<String, CallError> {
        let state = || parts.urls.borrow_mut().remove(&number);
        if let Some(url) = state() {
            return Ok(url);
        }
        let _one = parts.url_lock.lock().await;
        if let Some(url) = state() {
            return Ok(url);
        }
        let wanted = parts.missing.borrow().range(number..).take(URLS_PER_REQUEST).copied().collect();
        let slots = self.api.part_slots(self.project, parts.id, wanted).await?;
        parts.urls.borrow_mut().extend(slots.into_iter().map(|slot| (slot.part_number, slot.upload_url)));
        Ok(state().unwrap_or_default())
    }

    /// Removes from `stored` the parts that differ from those in storage.
    fn drop_differing(&self, state: &wire::Upload, stored: &mut BTreeMap<u32, UploadPart>) {
        let theirs: HashMap<u32, &UploadPart> = state.parts.iter().map(|part| (part.part_number, part)).collect();
        stored.retain(|number, ours| {
            let same = theirs.get(number).is_some_and(|theirs| {
                theirs.size_bytes == ours.size_bytes
                    && (theirs.checksum_crc64nvme.is_none() || theirs.checksum_crc64nvme == ours.checksum_crc64nvme)
            });
            if !same {
                self.progress.fetch_sub(ours.size_bytes, Ordering::Relaxed);
            }
            same
        });
    }

    fn length(&self, number: u32, part_size: u64) -> u64 {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(part_size);
        self.source_file.identity.size.saturating_sub(start).min(part_size)
    }

    /// Removes the journal and aborts the upload if it has expired or the dump has changed.
    async fn discard_if_gone(&self, error: UploadError, id: &str, journal: Option<Journal>) -> UploadError {
        let gone = match &error {
            UploadError::Rejected(rejection) => matches!(rejection.status, 404 | 410),
            UploadError::Call(error) => matches!(error.status(), Some(404 | 410)),
            UploadError::Changed | UploadError::Replaced => true,
            _ => false,
        };
        if let Some(journal) = journal.filter(|_| gone) {
            journal.remove();
            self.api.abort_upload(self.project, id).await;
        }
        error
    }
}
