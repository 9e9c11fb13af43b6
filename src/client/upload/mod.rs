//! Brings a dump into storage: in parts where the control plane takes them, else with one
//! request, and again after every fault that may pass.

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

/// The largest object that S3 takes in one request, in bytes (Amazon S3 user guide, "Uploading
/// objects"). Others have the same limit.
const MOST_AT_ONCE: u64 = 5 << 30;

/// Another URL is asked for so often in a row, before a refusal is believed.
const OTHER_URLS: u32 = 1;

/// How to upload.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// A connection that takes nothing for so long is dead.
    pub stall_timeout: Duration,
    /// At most so many bytes a second.
    pub limit_rate: Option<u64>,
    /// At most so many parts at the same time.
    pub concurrency: usize,
    /// Whether to go on with an upload that was begun before.
    pub resume: bool,
}

/// What is to be sent.
pub struct Sending<'a> {
    /// The file, open.
    pub file: &'a File,
    /// What it was when it was looked at. Storage needs its length beforehand.
    pub identity: FileIdentity,
    /// The file that a person named; what is sent may be an unpacked copy of it.
    pub origin: Option<&'a FileOrigin>,
}

/// What happens on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadEvent {
    /// Something failed, and is tried again.
    Retry {
        /// Number of the attempt that follows.
        attempt: u32,
        /// How many there are.
        of: u32,
        /// Pause before it.
        wait: Duration,
        /// What failed.
        why: String,
    },
    /// An upload that was begun before goes on; so many bytes are there.
    Resumed(u64),
    /// Should it end early, the same command goes on with it.
    Resumable,
    /// All of the dump is in storage already.
    AlreadyUploaded,
    /// An upload that was begun before cannot go on, and why.
    Restarted(&'static str),
}

/// A dump that is in storage.
#[derive(Debug)]
pub struct Uploaded {
    /// Names the object when the import is started.
    pub key: String,
    /// By this the same command finds the object again. It is of no use once the import has
    /// used that.
    pub journal: Option<Journal>,
}

/// An upload under way.
struct Upload<'a> {
    api: &'a Api,
    project: &'a str,
    sending: &'a Sending<'a>,
    options: &'a UploadOptions,
    storage: Storage,
    progress: &'a ByteCounter,
    budget: RefCell<RetryBudget>,
    notify: &'a dyn Fn(UploadEvent),
}

/// Uploads a dump. `progress` counts what connections have taken.
pub async fn upload(
    api: &Api,
    project: &str,
    sending: &Sending<'_>,
    options: &UploadOptions,
    progress: &ByteCounter,
    notify: &dyn Fn(UploadEvent),
) -> Result<Uploaded, UploadError> {
    let storage = Storage::new(options.stall_timeout, options.limit_rate);
    let budget = RefCell::new(RetryBudget::new(Instant::now()));
    let upload = Upload { api, project, sending, options, storage, progress, budget, notify };
    upload.check_unchanged()?;
    upload.send().await
}

impl Upload<'_> {
    async fn send(&self) -> Result<Uploaded, UploadError> {
        let mut journal =
            self.sending.origin.and_then(|origin| Journal::open(self.api.base().as_str(), self.project, origin));
        if let Some(entry) = journal.as_mut().and_then(Journal::read).filter(|entry| self.is_ours(entry)) {
            match self.state(&entry).await? {
                Some(state) => return self.resume(state, &entry.parts, journal).await,
                // What it holds of the room in storage is of no use any more.
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
        if let (Some(journal), Some(origin)) = (&mut journal, self.sending.origin) {
            let header = JournalHeader {
                api_url: self.api.base().to_string(),
                project_id: self.project.to_owned(),
                upload_id: id.clone(),
                path: origin.path.clone(),
                identity: origin.identity,
                size: self.sending.identity.size,
                part_size,
            };
            written = journal.begin(&header);
        }
        if let Err(error) = written {
            tracing::debug!("the journal was not written: {error}");
            journal = None;
        }
        self.send_parts(id, part_size, BTreeMap::new(), journal).await
    }

    /// Journals are named by a checksum, which others may share.
    fn is_ours(&self, entry: &JournalEntry) -> bool {
        let JournalHeader { api_url, project_id, path, .. } = &entry.header;
        let named = self.sending.origin.map(|origin| &origin.path);
        api_url == self.api.base().as_str() && project_id == self.project && Some(path) == named
    }

    /// An upload that was begun before, if one can go on with it.
    async fn state(&self, entry: &JournalEntry) -> Result<Option<wire::Upload>, UploadError> {
        if !self.options.resume {
            return Ok(None);
        }
        let header = &entry.header;
        let identity = self.sending.origin.map(|origin| origin.identity);
        if (Some(header.identity), header.size) != (identity, self.sending.identity.size) {
            (self.notify)(UploadEvent::Restarted("the dump has changed since"));
            return Ok(None);
        }
        match self.retry_call(|| self.api.upload(self.project, &header.upload_id)).await {
            Ok(state) if (state.size_bytes, state.part_size_bytes) == (header.size, header.part_size) => {
                Ok(Some(state))
            }
            Err(UploadError::Call(error)) if matches!(error.status(), Some(404 | 410)) => {
                // An import has used it, or storage has waited long enough.
                let whole = entry.parts.len() as u64 == header.size.div_ceil(header.part_size.max(1));
                if !whole {
                    (self.notify)(UploadEvent::Restarted("storage has given it up"));
                }
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The dump in one request.
    async fn send_at_once(&self, mut slot: UploadSlot) -> Result<Uploaded, UploadError> {
        if self.sending.identity.size > MOST_AT_ONCE {
            return Err(UploadError::TooLargeForOne(self.sending.identity.size));
        }
        let (mut connection, mut others) = (None::<UploadConnection>, 0);
        loop {
            let began = Instant::now();
            let put =
                Put { file: self.sending.file, start: 0, length: self.sending.identity.size, url: &slot.upload_url };
            let sent = self.storage.put(&mut connection, &put, self.progress).await;
            self.check_unchanged()?;
            let Err(error) = sent else { return Ok(Uploaded { key: slot.object_key, journal: None }) };
            if error.wants_another_url() && others < OTHER_URLS {
                others += 1;
                tracing::debug!("{error}; asking for another slot");
                slot = self.slot().await?;
                continue;
            }
            others = 0;
            self.pause(error, began).await?;
        }
    }

    async fn slot(&self) -> Result<UploadSlot, UploadError> {
        self.retry_call(|| self.api.upload_slot(self.project, self.sending.identity.size)).await
    }

    /// Calls the control plane until it answers, or the attempts are used up.
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

    /// Waits before the next attempt, or gives the error back when there is none.
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

    /// Whether the file is what it was when it was looked at.
    fn check_unchanged(&self) -> Result<(), UploadError> {
        let about = self.sending.file.metadata().map_err(UploadError::Read)?;
        if FileIdentity::of(&about) != self.sending.identity {
            return Err(UploadError::Changed);
        }
        // Nobody else can reach a copy.
        let Some(origin) = self.sending.origin.filter(|origin| origin.identity == self.sending.identity) else {
            return Ok(());
        };
        match std::fs::metadata(&origin.path) {
            Ok(named) if FileIdentity::of(&named) == origin.identity => Ok(()),
            _ => Err(UploadError::Replaced),
        }
    }
}
