use super::super::storage::{Line, Put, UploadError};
use super::super::{CallError, Cause};
use super::journal::Journal;
use super::streams::Streams;
use super::{OTHER_URLS, Upload, UploadEvent};
use crate::wire::{self, UploadPart, crc64_of_text, crc64_text};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::Mutex;

/// URLs of so many parts are asked for at once.
const SIGNED_AT_ONCE: usize = 32;

/// What the parts of one upload share.
struct Parts<'a> {
    id: &'a str,
    part_size: u64,
    /// Parts that have not arrived.
    missing: std::cell::RefCell<BTreeSet<u32>>,
    urls: Mutex<HashMap<u32, String>>,
}

impl Upload<'_> {
    /// Goes on with an upload of which some parts are there. `ours` are the checksums of those
    /// that were confirmed to us; whatever else storage has is sent again.
    pub(super) async fn go_on(
        &self,
        known: wire::Upload,
        ours: &BTreeMap<u32, u64>,
        journal: Option<Journal>,
    ) -> Result<String, UploadError> {
        if known.complete {
            self.progress.store(self.sending.identity.size, Ordering::Relaxed);
            (self.tell)(UploadEvent::There);
            return Ok(known.object_key);
        }
        let agreed = |part: &UploadPart| {
            let sum = part.checksum_crc64nvme.as_deref().and_then(crc64_of_text);
            // Storage that does not say what it has was asked when the part arrived.
            ours.get(&part.part_number).is_some_and(|ours| sum.is_none_or(|sum| sum == *ours))
        };
        let mut arrived: Vec<UploadPart> = known.parts.into_iter().filter(agreed).collect();
        for part in &mut arrived {
            part.checksum_crc64nvme = ours.get(&part.part_number).map(|crc64| crc64_text(*crc64));
        }
        let bytes = arrived.iter().map(|part| self.length(part.part_number, known.part_size_bytes)).sum();
        self.progress.store(bytes, Ordering::Relaxed);
        (self.tell)(UploadEvent::Resumed(bytes));
        self.send_parts(&known.id, known.part_size_bytes, arrived, journal).await
    }

    /// Sends the parts that are missing, several at a time, and makes an object of all.
    pub(super) async fn send_parts(
        &self,
        id: &str,
        part_size: u64,
        arrived: Vec<UploadPart>,
        mut journal: Option<Journal>,
    ) -> Result<String, UploadError> {
        if journal.is_some() {
            (self.tell)(UploadEvent::Resumable);
        }
        let count = self.sending.identity.size.div_ceil(part_size.max(1));
        let count = u32::try_from(count).map_err(|_| UploadError::Unusable("it has too many parts".into()))?;
        let mut arrived: BTreeMap<u32, UploadPart> = arrived.into_iter().map(|part| (part.part_number, part)).collect();
        loop {
            let missing: BTreeSet<u32> = (1..=count).filter(|number| !arrived.contains_key(number)).collect();
            let parts = Parts { id, part_size, missing: missing.into(), urls: Mutex::default() };
            let sent = self.send_missing(&parts, &mut arrived, journal.as_mut()).await;
            if let Err(error) = sent {
                return Err(forget_if_gone(error, journal));
            }
            self.check_unchanged()?;
            let all = arrived.values().cloned().collect();
            let refused = match self.api.complete_upload(self.project, id, all).await {
                Ok(object) => return Ok(object.object_key),
                Err(error) if matches!(error.cause, Cause::Status(409, _)) => error,
                Err(error) => return Err(forget_if_gone(error.into(), journal)),
            };
            // Storage lost some of them, or has them otherwise.
            self.drop_differing(id, part_size, &mut arrived).await?;
            if arrived.len() == count as usize {
                return Err(refused.into());
            }
            self.pause(UploadError::Damaged(self.api.host())).await?;
        }
    }

    async fn send_missing(
        &self,
        parts: &Parts<'_>,
        arrived: &mut BTreeMap<u32, UploadPart>,
        mut journal: Option<&mut Journal>,
    ) -> Result<(), UploadError> {
        let mut queue = parts.missing.borrow().clone().into_iter();
        let mut streams = Streams::new(self.options.concurrency, Instant::now());
        let (mut running, mut lines) = (FuturesUnordered::new(), Vec::<Line>::new());
        loop {
            while running.len() < streams.now()
                && let Some(number) = queue.next()
            {
                running.push(self.part(parts, number, lines.pop()));
            }
            let Some(ended) = running.next().await else { return Ok(()) };
            let (part, line) = ended?;
            lines.extend(line);
            parts.missing.borrow_mut().remove(&part.part_number);
            self.budget.borrow_mut().success();
            streams.arrived(part.size_bytes, Instant::now());
            let sum = part.checksum_crc64nvme.as_deref().and_then(crc64_of_text);
            if let (Some(journal), Some(crc64)) = (&mut journal, sum) {
                journal.arrived(part.part_number, crc64);
            }
            arrived.insert(part.part_number, part);
        }
    }

    /// One part, until it has arrived.
    async fn part(
        &self,
        parts: &Parts<'_>,
        number: u32,
        mut line: Option<Line>,
    ) -> Result<(UploadPart, Option<Line>), UploadError> {
        let (start, length) = (u64::from(number - 1) * parts.part_size, self.length(number, parts.part_size));
        let mut others = 0;
        loop {
            let sent = match self.url(parts, number).await {
                Ok(url) => {
                    let put = Put { file: self.sending.file, start, length, url: &url };
                    self.storage.put(&mut line, &put, self.progress).await
                }
                Err(error) => Err(error.into()),
            };
            let error = match sent {
                Ok(stored) => {
                    let checksum_crc64nvme = Some(crc64_text(stored.crc64));
                    let etag = stored.etag;
                    let part = UploadPart { part_number: number, size_bytes: length, etag, checksum_crc64nvme };
                    return Ok((part, line));
                }
                Err(error) => error,
            };
            self.check_unchanged()?;
            if error.wants_another_url() && others < OTHER_URLS {
                others += 1;
                tracing::debug!("{error}; asking for another URL");
                parts.urls.lock().await.clear(); // they are all of the same age
                continue;
            }
            others = 0;
            self.pause(error).await?;
        }
    }

    /// Where a part goes. The URLs of those that follow come along.
    async fn url(&self, parts: &Parts<'_>, number: u32) -> Result<String, CallError> {
        let mut urls = parts.urls.lock().await;
        if let Some(url) = urls.get(&number) {
            return Ok(url.clone());
        }
        let wanted = parts.missing.borrow().range(number..).take(SIGNED_AT_ONCE).copied().collect();
        let slots = self.api.part_slots(self.project, parts.id, wanted).await?;
        urls.extend(slots.into_iter().map(|slot| (slot.part_number, slot.upload_url)));
        Ok(urls.get(&number).cloned().unwrap_or_default())
    }

    /// Forgets of the parts that arrived those that storage does not have as we sent them.
    async fn drop_differing(
        &self,
        id: &str,
        part_size: u64,
        arrived: &mut BTreeMap<u32, UploadPart>,
    ) -> Result<(), UploadError> {
        let known = self.api.upload(self.project, id).await?;
        let same = |ours: &UploadPart| {
            let theirs = known.parts.iter().find(|theirs| theirs.part_number == ours.part_number);
            theirs.is_some_and(|theirs| {
                theirs.size_bytes == ours.size_bytes
                    && (theirs.checksum_crc64nvme.is_none() || theirs.checksum_crc64nvme == ours.checksum_crc64nvme)
            })
        };
        let differing: Vec<u32> = arrived.values().filter(|part| !same(part)).map(|part| part.part_number).collect();
        for number in differing {
            arrived.remove(&number);
            self.progress.fetch_sub(self.length(number, part_size), Ordering::Relaxed);
        }
        Ok(())
    }

    fn length(&self, number: u32, part_size: u64) -> u64 {
        let start = u64::from(number.saturating_sub(1)) * part_size;
        self.sending.identity.size.saturating_sub(start).min(part_size)
    }
}

/// An upload that storage has given up is not asked for again.
fn forget_if_gone(error: UploadError, journal: Option<Journal>) -> UploadError {
    let gone = match &error {
        UploadError::Refused(refusal) => matches!(refusal.status, 404 | 410),
        UploadError::Call(error) => matches!(error.cause, Cause::Status(404 | 410, _)),
        UploadError::Changed | UploadError::Replaced => true,
        _ => false,
    };
    if let Some(journal) = journal.filter(|_| gone) {
        journal.forget();
    }
    error
}
