//! Brings a dump into storage: in parts where the control plane takes them, else with one
//! request, and again after every fault that may pass.

mod adaptive_concurrency;
mod journal;
mod parts;
mod retry_budget;

use super::storage::{Line, Progress, Put, Storage, UploadError};
use super::{Api, CallError, Cause};
use crate::util::file_identity::{Identity, Origin};
use crate::wire::{self, UploadSlot};
use journal::{Begun, Remembered};
use retry_budget::{Budget, luck};
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
    pub identity: Identity,
    /// The file that a person named; what is sent may be an unpacked copy of it.
    pub origin: Option<&'a Origin>,
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
    There,
    /// An upload that was begun before cannot go on, and why.
    Anew(&'static str),
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
    progress: &'a Progress,
    budget: RefCell<Budget>,
    tell: &'a dyn Fn(UploadEvent),
}

/// Uploads a dump. `progress` counts what connections have taken.
pub async fn upload(
    api: &Api,
    project: &str,
    sending: &Sending<'_>,
    options: &UploadOptions,
    progress: &Progress,
    tell: &dyn Fn(UploadEvent),
) -> Result<Uploaded, UploadError> {
    let storage = Storage::new(options.stall_timeout, options.limit_rate);
    let budget = RefCell::new(Budget::new(Instant::now()));
    let upload = Upload { api, project, sending, options, storage, progress, budget, tell };
    upload.check_unchanged()?;
    upload.send().await
}

impl Upload<'_> {
    async fn send(&self) -> Result<Uploaded, UploadError> {
        let mut journal =
            self.sending.origin.and_then(|origin| Journal::open(self.api.base().as_str(), self.project, origin));
        if let Some(remembered) = journal.as_mut().and_then(Journal::read).filter(|remembered| self.is_ours(remembered))
        {
            match self.known(&remembered).await? {
                Some(known) => return self.go_on(known, &remembered.parts, journal).await,
                // What it holds of the room in storage is of no use any more.
                None => self.api.abort_upload(self.project, &remembered.begun.upload_id).await,
            }
        }
        let slot = self.slot().await?;
        let (Some(id), Some(part_size)) = (&slot.id, slot.part_size_bytes) else {
            if let Some(journal) = journal {
                journal.forget();
            }
            return self.send_at_once(slot).await;
        };
        let mut written = Ok(());
        if let (Some(journal), Some(origin)) = (&mut journal, self.sending.origin) {
            let begun = Begun {
                api_url: self.api.base().to_string(),
                project_id: self.project.to_owned(),
                upload_id: id.clone(),
                path: origin.path.clone(),
                identity: origin.identity,
                size: self.sending.identity.size,
                part_size,
            };
            written = journal.begin(&begun);
        }
        if let Err(error) = written {
            tracing::debug!("the journal was not written: {error}");
            journal = None;
        }
        self.send_parts(id, part_size, BTreeMap::new(), journal).await
    }

    /// Journals are named by a checksum, which others may share.
    fn is_ours(&self, remembered: &Remembered) -> bool {
        let Begun { api_url, project_id, path, .. } = &remembered.begun;
        let named = self.sending.origin.map(|origin| &origin.path);
        api_url == self.api.base().as_str() && project_id == self.project && Some(path) == named
    }

    /// An upload that was begun before, if one can go on with it.
    async fn known(&self, remembered: &Remembered) -> Result<Option<wire::Upload>, UploadError> {
        if !self.options.resume {
            return Ok(None);
        }
        let begun = &remembered.begun;
        let identity = self.sending.origin.map(|origin| origin.identity);
        if (Some(begun.identity), begun.size) != (identity, self.sending.identity.size) {
            (self.tell)(UploadEvent::Anew("the dump has changed since"));
            return Ok(None);
        }
        match self.insist(|| self.api.upload(self.project, &begun.upload_id)).await {
            Ok(known) if (known.size_bytes, known.part_size_bytes) == (begun.size, begun.part_size) => Ok(Some(known)),
            Err(UploadError::Call(error)) if matches!(error.cause, Cause::Status(404 | 410, _)) => {
                // An import has used it, or storage has waited long enough.
                let whole = remembered.parts.len() as u64 == begun.size.div_ceil(begun.part_size.max(1));
                if !whole {
                    (self.tell)(UploadEvent::Anew("storage has given it up"));
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
        let (mut line, mut others) = (None::<Line>, 0);
        loop {
            let began = Instant::now();
            let put =
                Put { file: self.sending.file, start: 0, length: self.sending.identity.size, url: &slot.upload_url };
            let sent = self.storage.put(&mut line, &put, self.progress).await;
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
        self.insist(|| self.api.upload_slot(self.project, self.sending.identity.size)).await
    }

    /// Calls the control plane until it answers, or the attempts are used up.
    async fn insist<T, F: Future<Output = Result<T, CallError>>>(
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
        let pause = self.budget.borrow_mut().failure(&error, began, Instant::now(), luck());
        let Some(pause) = pause else { return Err(error) };
        if pause.is_new {
            let (attempt, wait, why) = (pause.attempt, pause.wait, error.to_string());
            (self.tell)(UploadEvent::Retry { attempt, of: Budget::ATTEMPTS, wait, why });
        }
        tokio::time::sleep(pause.wait).await;
        Ok(())
    }

    /// Whether the file is what it was when it was looked at.
    fn check_unchanged(&self) -> Result<(), UploadError> {
        let about = self.sending.file.metadata().map_err(UploadError::Read)?;
        if Identity::of(&about) != self.sending.identity {
            return Err(UploadError::Changed);
        }
        // Nobody else can reach a copy.
        let Some(origin) = self.sending.origin.filter(|origin| origin.identity == self.sending.identity) else {
            return Ok(());
        };
        match std::fs::metadata(&origin.path) {
            Ok(named) if Identity::of(&named) == origin.identity => Ok(()),
            _ => Err(UploadError::Replaced),
        }
    }
}
