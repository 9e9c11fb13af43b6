//! Uploads a dump: in parts if the control plane supports them, otherwise with a single request.
//! Transient errors are retried.

mod adaptive_concurrency;
mod journal;
mod parts;
mod retry_budget;

use super::storage::{Put, Storage, UploadConnection, UploadError};
use super::{Api, CallError};
use crate::util::byte_counter::ByteCounter;
use crate::util::file_identity::{FileIdentity, FileOrigin};
use crate::wire::{self, UploadSlot};
use journal::{JournalEntry, JournalHeader};
use retry_budget::{RetryBudget, jitter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

pub use journal::Journal;

/// Largest object that S3 accepts in one request, in bytes (Amazon S3 user guide, "Uploading
/// objects"). Other stores have the same limit.
const MAX_SINGLE_PUT: u64 = 5 << 30;

/// Number of new URLs to request in a row before a rejection counts as an error.
const MAX_NEW_URLS: u32 = 1;

/// Upload options.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// A connection that accepts no data for this long is considered dead.
    pub stall_timeout: Duration,
    /// Maximum rate in bytes per second.
    pub limit_rate: Option<u64>,
    /// Maximum number of concurrent parts.
    pub concurrency: usize,
    /// Whether to resume an earlier upload.
    pub resume: bool,
}

/// The dump to upload.
pub struct UploadSource<'a> {
    /// The open file.
    pub file: &'a File,
    /// Identity of the file when it was inspected. Storage needs the length in advance.
    pub identity: FileIdentity,
    /// The file that the user named; `file` may be a decompressed copy.
    pub origin: Option<&'a FileOrigin>,
}

/// An event during an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadEvent {
    /// An attempt failed and will be retried.
    Retry {
        /// Number of the next attempt.
        attempt: u32,
        /// Maximum number of attempts.
        of: u32,
        /// Wait before the next attempt.
        wait: Duration,
        /// The error of the failed attempt.
        why: String,
    },
    /// An earlier upload is resumed; this many bytes are already stored.
    Resumed(u64),
    /// The same command can resume the upload if it is interrupted.
    Resumable,
    /// The whole dump is already stored.
    AlreadyUploaded,
    /// An earlier upload cannot be resumed, for this reason.
    Restarted(&'static str),
}

/// A completed upload.
#[derive(Debug)]
pub struct Uploaded {
    /// The object key, for starting the import.
    pub key: String,
    /// The journal with which the same command finds the object again, until the import has used
    /// the object.
    pub journal: Option<Journal>,
}

/// A running upload.
struct UploadRun<'a> {
    api: &'a Api,
    project: &'a str,
    source_file: &'a UploadSource<'a>,
    options: &'a UploadOptions,
    storage: Storage,
    progress: &'a ByteCounter,
    budget: RefCell<RetryBudget>,
    notify: &'a dyn Fn(UploadEvent),
}

/// Uploads a dump. `progress` counts the bytes that connections accepted.
pub async fn upload(
    api: &Api,
    project: &str,
    source_file: &UploadSource<'_>,
    options: &UploadOptions,
    progress: &ByteCounter,
    notify: &dyn Fn(UploadEvent),
) -> Result<Uploaded, UploadError> {
    let storage = Storage::new(options.stall_timeout, options.limit_rate);
    let budget = RefCell::new(RetryBudget::new(Instant::now()));
    let upload = UploadRun { api, project, source_file, options, storage, progress, budget, notify };
    upload.check_unchanged()?;
    upload.send().await
}

impl UploadRun<'_> {
    async fn send(&self) -> Result<Uploaded, UploadError> {
        let mut journal =
            self.source_file.origin.and_then(|origin| Journal::open(self.api.base().as_str(), self.project, origin));
        if let Some(entry) = journal.as_mut().and_then(Journal::read).filter(|entry| self.is_ours(entry)) {
            match self.state(&entry).await? {
                Some(state) => return self.resume(state, &entry.parts, journal).await,
                // Frees the space of the old upload.
                None => self.api.abort_upload(self.project, &entry.header.upload_id).await,
            }
        }
        let slot = self.slot().await?;
        let (Some(id), Some(part_size)) = (&slot.id, slot.part_size_bytes) else {
            if let Some(journal) = journal {
                journal.remove();
            }
            return self.send_at_once(slot).await;
        };
        let mut written = Ok(());
        if let (Some(journal), Some(origin)) = (&mut journal, self.source_file.origin) {
            let header = JournalHeader {
                api_url: self.api.base().to_string(),
                project_id: self.project.to_owned(),
                upload_id: id.clone(),
                path: origin.path.clone(),
                identity: origin.identity,
                size: self.source_file.identity.size,
                part_size,
            };
            written = journal.begin(&header);
        }
        if let Err(error) = written {
            tracing::debug!("cannot write the journal: {error}");
            journal = None;
        }
        self.send_parts(id, part_size, BTreeMap::new(), journal).await
    }

    /// Whether a journal belongs to this upload: its file name is a checksum, which may collide.
    fn is_ours(&self, entry: &JournalEntry) -> bool {
        let JournalHeader { api_url, project_id, path, .. } = &entry.header;
        let named = self.source_file.origin.map(|origin| &origin.path);
        api_url == self.api.base().as_str() && project_id == self.project && Some(path) == named
    }

    /// The state of an earlier upload, if it can be resumed.
    async fn state(&self, entry: &JournalEntry) -> Result<Option<wire::Upload>, UploadError> {
        if !self.options.resume {
            return Ok(None);
        }
        let header = &entry.header;
        let identity = self.source_file.origin.map(|origin| origin.identity);
        if (Some(header.identity), header.size) != (identity, self.source_file.identity.size) {
            (self.notify)(UploadEvent::Restarted("the dump has changed"));
            return Ok(None);
        }
        match self.retry_call(|| self.api.upload(self.project, &header.upload_id)).await {
            Ok(state) if (state.size_bytes, state.part_size_bytes) == (header.size, header.part_size) => {
                Ok(Some(state))
            }
            Err(UploadError::Call(error)) if matches!(error.status(), Some(404 | 410)) => {
                // An import has used the upload, or the upload has expired.
                let whole = entry.parts.len() as u64 == header.size.div_ceil(header.part_size.max(1));
                if !whole {
                    (self.notify)(UploadEvent::Restarted("the upload has expired"));
                }
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Uploads the dump in one request.
    async fn send_at_once(&self, mut slot: UploadSlot) -> Result<Uploaded, UploadError> {
        if self.source_file.identity.size > MAX_SINGLE_PUT {
            return Err(UploadError::TooLargeForOne(self.source_file.identity.size));
        }
        let (mut connection, mut others) = (None::<UploadConnection>, 0);
        loop {
            let began = Instant::now();
            let put = Put {
                file: self.source_file.file,
                start: 0,
                length: self.source_file.identity.size,
                url: &slot.upload_url,
            };
            let sent = self.storage.put(&mut connection, &put, self.progress).await;
            self.check_unchanged()?;
            let Err(error) = sent else { return Ok(Uploaded { key: slot.object_key, journal: None }) };
            if error.needs_new_url() && others < MAX_NEW_URLS {
                others += 1;
                tracing::debug!("{error}; requesting another slot");
                slot = self.slot().await?;
                continue;
            }
            others = 0;
            self.pause(error, began).await?;
        }
    }

    async fn slot(&self) -> Result<UploadSlot, UploadError> {
        self.retry_call(|| self.api.upload_slot(self.project, self.source_file.identity.size)).await
    }

    /// Calls the control plane, retrying transient errors until the attempts are exhausted.
    async fn retry_call<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, UploadError> {
        loop {
            let began = Instant::now();
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause(error.into(), began).await?,
            }
        }
    }

    /// Waits before the next attempt; returns the error if there is none.
    async fn pause(&self, error: UploadError, began: Instant) -> Result<(), UploadError> {
        let pause = self.budget.borrow_mut().failure(&error, began, Instant::now(), jitter());
        let Some(pause) = pause else { return Err(error) };
        if pause.is_new {
            let (attempt, wait, why) = (pause.attempt, pause.wait, error.to_string());
            (self.notify)(UploadEvent::Retry { attempt, of: RetryBudget::ATTEMPTS, wait, why });
        }
        tokio::time::sleep(pause.wait).await;
        Ok(())
    }

    /// Fails if the file has changed or its path now names another file.
    fn check_unchanged(&self) -> Result<(), UploadError> {
        let about = self.source_file.file.metadata().map_err(UploadError::Read)?;
        if FileIdentity::of(&about) != self.source_file.identity {
            return Err(UploadError::Changed);
        }
        // A decompressed copy is private to this process.
        let Some(origin) = self.source_file.origin.filter(|origin| origin.identity == self.source_file.identity) else {
            return Ok(());
        };
        match std::fs::metadata(&origin.path) {
            Ok(named) if FileIdentity::of(&named) == origin.identity => Ok(()),
            _ => Err(UploadError::Replaced),
        }
    }
}
