//! Object storage for uploaded dumps, with signed upload URLs: a directory of this machine, or S3.

mod disk;
mod part_locks;
mod receive;
mod s3;

pub(super) use disk::{Disk, SignedQuery};
pub(super) use s3::S3;

use super::crypto::random_hex;
use super::metadata::UploadRow;
use super::postgres::RunAs;
use crate::wire::UploadPart;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OwnedRwLockWriteGuard;

/// Limits of S3: parts of 5 MiB to 5 GiB, at most 10,000 parts (Amazon S3 user guide, "Multipart
/// upload limits"). In bytes.
const MAX_PART: u64 = 5 << 30;
const MAX_PARTS: u64 = 10_000;
/// Minimum part size, in bytes, because each part is a request.
const MIN_PART: u64 = 8 << 20;
/// Number of parts above which larger parts are used.
const TARGET_PARTS: u64 = 1000;

/// How long an upload URL is valid.
pub(super) const URL_LIFETIME: Duration = Duration::from_hours(1);

/// Where dumps are stored.
pub(super) enum Objects {
    /// A directory of this machine.
    Disk(Disk),
    /// An S3 bucket.
    S3(S3),
}

impl Objects {
    /// A URL that accepts an upload, or one part of it, for one hour. `base` is the base URL of our API,
    /// which receives uploads to disk.
    pub(super) fn url(&self, base: &str, upload: &UploadRow, part: Option<u32>) -> String {
        let key = &upload.object_key;
        match self {
            Self::Disk(disk) => format!("{base}/objects/{key}?{}", disk.sign(key, part)),
            Self::S3(s3) => s3.url(key, part.map(|part| (part, upload.storage_id.as_deref().unwrap_or_default()))),
        }
    }

    /// Origin (scheme, host and port) of upload URLs, if not our own.
    pub(super) fn origin(&self) -> Option<String> {
        match self {
            Self::Disk(_) => None,
            Self::S3(s3) => Some(s3.origin()),
        }
    }

    /// Path of a local copy of the dump for an import: the file on disk, or a download to `path`.
    pub(super) async fn local(&self, upload: &UploadRow, path: &Path, user: Option<&RunAs>) -> anyhow::Result<PathBuf> {
        match self {
            Self::Disk(disk) => Ok(disk.path(&upload.object_key)),
            Self::S3(s3) => {
                s3.fetch(&upload.object_key, upload.size.unwrap_or_default(), path, user).await?;
                Ok(path.to_owned())
            }
        }
    }

    /// Starts a multipart upload, and returns its id in the bucket.
    pub(super) async fn begin(&self, key: &str, size: u64) -> Result<Option<String>, ObjectError> {
        match self {
            Self::Disk(disk) => disk.begin(key, size).map(|()| None),
            Self::S3(s3) => s3.begin(key).await.map(Some),
        }
    }

    /// The received parts of an open upload, as listed by the bucket; `None` for uploads to disk, whose
    /// parts are in the metadata.
    pub(super) async fn parts(&self, upload: &UploadRow) -> Result<Option<Vec<UploadPart>>, ObjectError> {
        match (self, &upload.storage_id) {
            (Self::S3(s3), Some(id)) => s3.parts(&upload.object_key, id).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Size of an object in bytes, if a bucket has it; `None` on disk, where the metadata has the size.
    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, ObjectError> {
        match self {
            Self::Disk(_) => Ok(None),
            Self::S3(s3) => s3.size(key).await,
        }
    }

    /// Blocks writers of an object on disk; a bucket needs no lock.
    pub(super) async fn lock_exclusively(&self, key: &str) -> Option<OwnedRwLockWriteGuard<()>> {
        match self {
            Self::Disk(disk) => Some(disk.lock_exclusively(key).await),
            Self::S3(_) => None,
        }
    }

    /// Completes a multipart upload from its parts, given by their entity tags in order.
    pub(super) async fn complete(&self, upload: &UploadRow, tags: &[String]) -> Result<(), ObjectError> {
        match self {
            Self::Disk(disk) => disk.complete(&upload.object_key),
            Self::S3(s3) => {
                s3.complete(&upload.object_key, upload.storage_id.as_deref().unwrap_or_default(), tags).await
            }
        }
    }

    /// Removes an object, complete or not; does nothing if it does not exist. The caller must block
    /// writers: see [`Objects::lock_exclusively`].
    pub(super) async fn remove(&self, upload: &UploadRow) -> Result<(), ObjectError> {
        match self {
            Self::Disk(disk) => Ok(disk.delete(&upload.object_key)?),
            Self::S3(s3) => {
                let open = upload.storage_id.as_deref().filter(|_| upload.size.is_none());
                s3.delete(&upload.object_key, open).await
            }
        }
    }

    /// Removes files that are not in the metadata. Buckets have lifecycle rules for that.
    pub(super) fn remove_orphans(&self, keys: &[String]) -> io::Result<()> {
        match self {
            Self::Disk(disk) => disk.remove_orphans(keys),
            Self::S3(_) => Ok(()),
        }
    }
}

/// Part size for a dump of this size, both in bytes; `None` if one part is enough, or if the dump
/// exceeds the limits.
pub(super) fn part_size(size: u64) -> Option<u64> {
    let even = size.div_ceil(TARGET_PARTS).next_multiple_of(1 << 20);
    let part = even.clamp(MIN_PART, MAX_PART);
    (size > part && size.div_ceil(part) <= MAX_PARTS).then_some(part)
}

/// A new, unique object key.
pub(super) fn new_key() -> String {
    key_of(&random_hex(16))
}

/// The object key of an upload.
pub(super) fn key_of(id: &str) -> String {
    format!("imports/{id}.dump")
}

/// The upload id of an object key.
pub(super) fn id_of(key: &str) -> Option<&str> {
    key.strip_prefix("imports/")?.strip_suffix(".dump")
}

/// Why an upload is rejected. Each has the status and code that S3 would return.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObjectError {
    /// The signature is not ours, or not for this object.
    #[error("The request signature we calculated does not match the signature you provided.")]
    Signature,
    /// The URL has expired.
    #[error("Request has expired")]
    Expired,
    /// The URL has already been used.
    #[error("This URL has already been used; request a new one")]
    Used,
    /// The multipart upload does not exist, or no longer exists.
    #[error("The specified multipart upload does not exist.")]
    NoUpload,
    /// The same part is being sent again, or the upload is being finished.
    #[error("This request was superseded: the part was sent again, or the upload was finished.")]
    Superseded,
    /// The sender stalled.
    #[error("Your socket connection to the server was not read from or written to within the timeout period.")]
    Stalled,
    /// The disk is too full.
    #[error("There is not enough free space for this upload.")]
    NotEnoughSpace,
    /// The length was not declared.
    #[error("You must provide the Content-Length HTTP header.")]
    NoLength,
    /// Larger than the plan allows.
    #[error("Your proposed upload of {0} bytes exceeds the {1} bytes that the project's plan allows.")]
    TooLarge(u64, u64),
    /// The part does not have the expected length.
    #[error("This part must be exactly {0} bytes long.")]
    WrongLength(u64),
    /// The body was shorter or longer than declared.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    Incomplete,
    /// Storing failed.
    #[error("We encountered an internal error. Please try again.")]
    Storage(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_sizes_respect_the_limits_of_s3() {
        assert_eq!(part_size(MIN_PART), None, "one part is enough");
        assert_eq!(part_size(MIN_PART + 1), Some(MIN_PART));
        for size in [40_000_000_000, 5_u64 << 40, 100 << 30] {
            let part = part_size(size).expect("a size that needs several parts");
            assert!((5 << 20..=MAX_PART).contains(&part) && size.div_ceil(part) <= 10_000, "{size}: {part}");
        }
        assert_eq!(part_size(u64::MAX / 2), None, "the size exceeds all limits");
        assert_eq!(id_of(&key_of("abc")), Some("abc"));
    }
}
