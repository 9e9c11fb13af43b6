//! Object storage for uploaded dumps, with signed upload URLs: a folder of this machine, or S3.

mod disk;
mod receive;
mod s3;
mod turns;

pub(super) use disk::{Disk, Ticket};
pub(super) use s3::S3;

use super::crypto::random_hex;
use super::postgres::RunAs;
use super::store::UploadRow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Part sizes of S3: 5 MiB to 5 GiB, at most 10,000 parts (Amazon S3 user guide, "Multipart
/// upload limits"). In bytes.
const LARGEST_PART: u64 = 5 << 30;
const MOST_PARTS: u64 = 10_000;
/// Parts are not smaller without need, in bytes: each is a request.
const USUAL_PART: u64 = 8 << 20;
/// More parts than this only make lists longer.
const USUAL_PARTS: u64 = 1000;

/// How long an upload URL works.
pub(super) const URL_LIFE: Duration = Duration::from_hours(1);

/// Where dumps are stored.
pub(super) enum Objects {
    /// A folder of this machine.
    Disk(Disk),
    /// A bucket.
    S3(S3),
}

impl Objects {
    /// A URL that takes an upload or a part of one for an hour. `base` is the address of our
    /// own API, which receives for the folder.
    pub(super) fn url(&self, base: &str, upload: &UploadRow, part: Option<u32>) -> String {
        let key = &upload.object_key;
        match self {
            Self::Disk(disk) => format!("{base}/objects/{key}?{}", disk.sign(key, part)),
            Self::S3(s3) => s3.url(key, part.map(|part| (part, upload.storage_id.as_deref().unwrap_or_default()))),
        }
    }

    /// Where uploads go when not to ourselves: scheme, host and port.
    pub(super) fn origin(&self) -> Option<String> {
        match self {
            Self::Disk(_) => None,
            Self::S3(s3) => Some(s3.origin()),
        }
    }

    /// Where the dump can be read that an import uses: in the folder, or as a copy at `place`.
    pub(super) async fn local(
        &self,
        upload: &UploadRow,
        place: &Path,
        user: Option<&RunAs>,
    ) -> anyhow::Result<PathBuf> {
        match self {
            Self::Disk(disk) => Ok(disk.path(&upload.object_key)),
            Self::S3(s3) => {
                s3.fetch(&upload.object_key, upload.size.unwrap_or_default(), place, user).await?;
                Ok(place.to_owned())
            }
        }
    }

    /// Removes an object, whole or not; one that is gone already is fine.
    pub(super) async fn delete(&self, upload: &UploadRow) -> Result<(), Refusal> {
        match self {
            Self::Disk(disk) => {
                let _alone = disk.alone(&upload.object_key).await;
                Ok(disk.delete(&upload.object_key)?)
            }
            Self::S3(s3) => {
                let open = upload.storage_id.as_deref().filter(|_| upload.size.is_none());
                s3.delete(&upload.object_key, open).await
            }
        }
    }
}

/// How long parts are for a dump of this length in bytes; `None` where one is enough, or where
/// none would do.
pub(super) fn part_size(size: u64) -> Option<u64> {
    let even = size.div_ceil(USUAL_PARTS).next_multiple_of(1 << 20);
    let part = even.clamp(USUAL_PART, LARGEST_PART);
    (size > part && size.div_ceil(part) <= MOST_PARTS).then_some(part)
}

/// A key that no object has yet.
pub(super) fn new_key() -> String {
    key_of(&random_hex(16))
}

/// The key of an upload's object.
pub(super) fn key_of(id: &str) -> String {
    format!("imports/{id}.dump")
}

/// The upload of an object's key.
pub(super) fn id_of(key: &str) -> Option<&str> {
    key.strip_prefix("imports/")?.strip_suffix(".dump")
}

/// Why an upload is not taken. Each has the status and code that S3 would answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The signature is not ours, or not for this object.
    #[error("The request signature we calculated does not match the signature you provided.")]
    Signature,
    /// The URL has expired.
    #[error("Request has expired")]
    Expired,
    /// The URL has done its work.
    #[error("This URL has been used; ask for another one")]
    Used,
    /// There is no such upload in parts, or not any more.
    #[error("The specified multipart upload does not exist.")]
    NoUpload,
    /// The same part is being sent once more, or the upload is being ended.
    #[error("Another call has ended this: the same part once more, or the end of the upload.")]
    Superseded,
    /// Nothing came for too long.
    #[error("Your socket connection to the server was not read from or written to within the timeout period.")]
    Stalled,
    /// The disk is too full.
    #[error("There is not enough free space for this upload.")]
    NoRoom,
    /// The length was not declared.
    #[error("You must provide the Content-Length HTTP header.")]
    NoLength,
    /// Larger than the plan allows.
    #[error("Your proposed upload of {0} bytes exceeds the {1} bytes that the project's plan allows.")]
    TooLarge(u64, u64),
    /// A part of another length than its place has.
    #[error("This part must have {0} bytes.")]
    WrongLength(u64),
    /// The body ended too early, or went on too long.
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
    fn parts_are_few_and_within_the_limits_of_s3() {
        assert_eq!(part_size(USUAL_PART), None, "one is enough");
        assert_eq!(part_size(USUAL_PART + 1), Some(USUAL_PART));
        for size in [40_000_000_000, 5_u64 << 40, 100 << 30] {
            let part = part_size(size).expect("in parts");
            assert!((5 << 20..=LARGEST_PART).contains(&part) && size.div_ceil(part) <= 10_000, "{size}: {part}");
        }
        assert_eq!(part_size(u64::MAX / 2), None, "nothing takes that");
        assert_eq!(id_of(&key_of("abc")), Some("abc"));
    }
}
