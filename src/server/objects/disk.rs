//! Object storage in a directory of this machine.

use super::part_locks::{PartLock, PartLocks};
use super::receive::{DiskSpace, receive};
use super::{ObjectError, URL_LIFETIME};
use crate::server::crypto::{Signer, random_hex};
use crate::server::postgres::RunAs;
use axum::body::Bytes;
use futures_util::Stream;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedRwLockWriteGuard;

/// Minimum age of a file to remove it as an orphan: its row in the metadata may follow shortly.
const ORPHAN_AGE: Duration = Duration::from_hours(1);

/// A directory of objects, with signed URLs for uploads.
pub(crate) struct Disk {
    /// Complete objects, readable by the user of the import's programs.
    dir: PathBuf,
    /// Incomplete uploads, accessible only to this process's user.
    unfinished: PathBuf,
    signer: Signer,
    run_as: Option<RunAs>,
    space: DiskSpace,
    part_locks: PartLocks,
}

/// The signed query of an upload URL.
#[derive(Debug)]
pub(crate) struct SignedQuery {
    /// Number of the part, in a multipart upload.
    pub(crate) part: Option<u32>,
    expires: u64,
    signature: String,
}

impl SignedQuery {
    /// Parses a query; `None` unless it is exactly as we format it.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let (part, rest) = match query.strip_prefix("part=") {
            Some(rest) => rest.split_once('&').map(|(part, rest)| (Some(part), rest))?,
            None => (None, query),
        };
        let part = part.map(str::parse).transpose().ok()?;
        let (expires, signature) = rest.strip_prefix("expires=")?.split_once("&signature=")?;
        let signed = Self { part, expires: expires.parse().ok()?, signature: signature.to_ascii_lowercase() };
        (signed.query() == query).then_some(signed)
    }

    fn query(&self) -> String {
        let part = self.part.map_or_else(String::new, |part| format!("part={part}&"));
        format!("{part}expires={}&signature={}", self.expires, self.signature)
    }
}

impl Disk {
    /// Opens a directory of objects, created if missing, and one beside it for incomplete uploads.
    pub(crate) fn open(dir: PathBuf, signer: Signer, run_as: Option<RunAs>) -> io::Result<Self> {
        let unfinished = dir.with_file_name("uploads");
        for dir in [&dir, &unfinished] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        if let Some(user) = &run_as {
            user.own(&dir)?;
        }
        // Uploads in one request that a crash interrupted. Multipart uploads can be resumed.
        for entry in fs::read_dir(&unfinished)?.flatten() {
            if entry.path().extension() == Some("once".as_ref()) {
                fs::remove_file(entry.path())?;
            }
        }
        let space = DiskSpace::new(unfinished.clone());
        Ok(Self { dir, unfinished, signer, run_as, space, part_locks: PartLocks::default() })
    }

    /// The query of a URL that accepts an upload, or one part of it, for one hour.
    pub(crate) fn sign(&self, key: &str, part: Option<u32>) -> String {
        let expires = seconds(SystemTime::now() + URL_LIFETIME);
        let signature = self.signer.sign(&signed_text(key, part, expires));
        SignedQuery { part, expires, signature }.query()
    }

    /// Checks that a signed query is valid for this object and has not expired.
    pub(crate) fn check(&self, key: &str, signed: &SignedQuery) -> Result<(), ObjectError> {
        if !self.signer.verifies(&signed_text(key, signed.part, signed.expires), &signed.signature) {
            return Err(ObjectError::Signature);
        }
        if signed.expires < seconds(SystemTime::now()) {
            return Err(ObjectError::Expired);
        }
        Ok(())
    }

    /// Stores a body of declared length in bytes, and returns its CRC-64/NVME. The object appears only
    /// when it is complete.
    pub(crate) async fn put<E>(
        &self,
        key: &str,
        length: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<u64, ObjectError> {
        let unfinished = self.unfinished.join(format!("{}.once", random_hex(8)));
        let removal = RemoveOnDrop(&unfinished);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let sum = receive(&self.space, file, 0, length, body, ()).await?;
        self.publish(&unfinished, key)?;
        drop(removal);
        Ok(sum)
    }

    /// Starts a multipart upload of this size in bytes.
    pub(crate) fn begin(&self, key: &str, size: u64) -> Result<(), ObjectError> {
        self.space.has(size)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.parts_path(key))?;
        Ok(file.set_len(size)?)
    }

    /// Locks a part for writing, and aborts its current writer.
    pub(crate) async fn lock(&self, key: &str, part: u32) -> Result<PartLock, ObjectError> {
        self.part_locks.part(key, part).await.ok_or(ObjectError::Superseded)
    }

    /// Opens the file that the parts of an upload are written to.
    pub(crate) fn unfinished(&self, key: &str) -> Result<File, ObjectError> {
        match OpenOptions::new().write(true).open(self.parts_path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ObjectError::NoUpload),
            file => Ok(file?),
        }
    }

    /// Stores a part at its offset, both in bytes, and returns its CRC-64/NVME.
    pub(crate) async fn put_part<E>(
        &self,
        file: File,
        (start, length): (u64, u64),
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        lock: Arc<PartLock>,
    ) -> Result<u64, ObjectError> {
        let superseded = lock.superseded.clone();
        let received = receive(&self.space, file, start, length, body, lock);
        superseded.run_until_cancelled(received).await.unwrap_or(Err(ObjectError::Superseded))
    }

    /// Aborts all writers of this object, and blocks new ones while the guard is held.
    pub(crate) async fn lock_exclusively(&self, key: &str) -> OwnedRwLockWriteGuard<()> {
        self.part_locks.exclusive(key).await
    }

    /// Completes a multipart upload whose parts have all arrived. Idempotent. The caller must hold the
    /// guard of [`Disk::lock_exclusively`].
    pub(crate) fn complete(&self, key: &str) -> Result<(), ObjectError> {
        if self.path(key).exists() { Ok(()) } else { self.publish(&self.parts_path(key), key) }
    }

    /// Removes files whose object is not in the metadata, one hour after the last write.
    pub(crate) fn remove_orphans(&self, keys: &[String]) -> io::Result<()> {
        let known: HashSet<String> = keys.iter().map(|key| name(key)).collect();
        for dir in [&self.dir, &self.unfinished] {
            for entry in fs::read_dir(dir)?.flatten() {
                let written = entry.metadata().and_then(|about| about.modified()).ok();
                let age = written.and_then(|written| written.elapsed().ok()).unwrap_or_default();
                if age > ORPHAN_AGE && !known.contains(&*entry.file_name().to_string_lossy()) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Moves a complete file to the object's path, and makes it readable for imports.
    fn publish(&self, unfinished: &Path, key: &str) -> Result<(), ObjectError> {
        if let Some(user) = &self.run_as {
            user.own(unfinished)?;
        }
        // A link does not overwrite the object of a faster upload to the same URL.
        match fs::hard_link(unfinished, self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(ObjectError::Used),
            linked => linked?,
        }
        File::open(&self.dir)?.sync_all()?;
        Ok(remove(unfinished)?)
    }

    /// Path of an object, always below the directory: [`name`] drops all separators.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.dir.join(name(key))
    }

    fn parts_path(&self, key: &str) -> PathBuf {
        self.unfinished.join(name(key))
    }

    /// Removes an object, complete or not; does nothing if it does not exist.
    pub(crate) fn delete(&self, key: &str) -> io::Result<()> {
        remove(&self.path(key))?;
        remove(&self.parts_path(key))
    }
}

fn name(key: &str) -> String {
    let name: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    name.trim_start_matches('.').to_owned()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

struct RemoveOnDrop<'a>(&'a Path);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0); // otherwise removed at the next start
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn signed_text(key: &str, part: Option<u32>, expires: u64) -> String {
    let part = part.map_or_else(String::new, |part| format!("\npart {part}"));
    format!("PUT\n{key}\n{expires}{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disk = Disk::open(dir.path().join("objects"), Signer::new(b"k"), None).expect("a writable directory");
        (dir, disk)
    }

    fn signed(query: &str) -> SignedQuery {
        SignedQuery::parse(query).expect("a valid signed query")
    }

    #[test]
    fn a_signature_is_valid_for_one_object_until_it_expires() {
        let (_dir, disk) = disk();
        let valid = signed(&disk.sign("imports/a.dump", None));
        assert!(disk.check("imports/a.dump", &valid).is_ok());
        assert!(matches!(disk.check("imports/b.dump", &valid), Err(ObjectError::Signature)));
        let for_part = SignedQuery { part: Some(1), expires: valid.expires, signature: valid.signature.clone() };
        assert!(matches!(disk.check("imports/a.dump", &for_part), Err(ObjectError::Signature)));
        let extended = SignedQuery { part: None, expires: valid.expires + 1, signature: valid.signature };
        assert!(matches!(disk.check("imports/a.dump", &extended), Err(ObjectError::Signature)));
        let signature = disk.signer.sign(&signed_text("imports/a.dump", None, 1));
        let expired = SignedQuery { part: None, expires: 1, signature };
        assert!(matches!(disk.check("imports/a.dump", &expired), Err(ObjectError::Expired)));
    }

    #[test]
    fn a_modified_query_is_rejected() {
        let (_dir, disk) = disk();
        let part = disk.sign("imports/a.dump", Some(7));
        assert_eq!(SignedQuery::parse(&part).and_then(|signed| signed.part), Some(7));
        let query = disk.sign("imports/a.dump", None);
        assert!(SignedQuery::parse(&query).is_some());
        for modified in [
            query.to_uppercase(),
            query.replace("expires=", "expires=0"),
            query.replace("expires=", "expires=+"),
            query.replace('&', "&&"),
            format!("{query}&"),
            format!("{query}&x=1"),
            format!("part=7&{query}"),
            part.replace("part=7", "part=8"),
            part.replace("part=7", "part=07"),
            query.replace("signature=", "signature=A"),
        ] {
            let accepted =
                SignedQuery::parse(&modified).is_some_and(|signed| disk.check("imports/a.dump", &signed).is_ok());
            assert!(!accepted, "{modified}");
        }
    }

    #[tokio::test]
    async fn an_object_is_stored_completely_or_not_at_all() {
        let (dir, disk) = disk();
        let body = |parts: &[&'static str]| {
            let parts: Vec<_> = parts.iter().map(|part| Ok::<_, io::Error>(axum::body::Bytes::from(*part))).collect();
            futures_util::stream::iter(parts)
        };
        let key = super::super::new_key();
        assert!(matches!(disk.put(&key, 6, body(&["abc"])).await, Err(ObjectError::Incomplete)));
        assert!(matches!(disk.put(&key, 2, body(&["abc"])).await, Err(ObjectError::Incomplete)));
        for name in ["objects", "uploads"] {
            assert_eq!(fs::read_dir(dir.path().join(name)).expect("a readable directory").count(), 0, "{name}");
        }
        disk.put(&key, 6, body(&["abc", "def"])).await.expect("a complete object");
        assert!(matches!(disk.put(&key, 6, body(&["xxxxxx"])).await, Err(ObjectError::Used)));
        assert!(matches!(
            disk.put(&super::super::new_key(), u64::MAX, body(&[])).await,
            Err(ObjectError::NotEnoughSpace)
        ));
        assert_eq!(fs::read(disk.path(&key)).expect("a readable object"), b"abcdef");
        disk.delete(&key).expect("an existing object");
        disk.delete(&key).expect("deletion is idempotent");
    }

    #[test]
    fn a_key_cannot_escape_the_directory() {
        let (_dir, disk) = disk();
        for key in ["../../etc/passwd", "/etc/passwd", "a/../../b", "....//x"] {
            assert_eq!(disk.path(key).parent(), Some(&*disk.dir), "{key}");
        }
        assert_eq!(disk.path("..").components(), disk.dir.components());
    }

    #[tokio::test]
    async fn parts_may_arrive_in_any_order_and_repeatedly() {
        let (dir, disk) = disk();
        let body = |text: &'static str| futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from(text))]);
        let key = super::super::new_key();
        disk.begin(&key, 8).expect("a new upload");
        for (number, start, text) in [(2, 5, "fgh"), (1, 0, "wrong"), (1, 0, "abcde")] {
            let lock = Arc::new(disk.lock(&key, number).await.expect("a part lock"));
            let file = disk.unfinished(&key).expect("an unfinished upload");
            disk.put_part(file, (start, text.len() as u64), body(text), lock).await.expect("a complete part");
        }
        let lock = Arc::new(disk.lock(&key, 1).await.expect("a part lock"));
        let truncated =
            disk.put_part(disk.unfinished(&key).expect("an unfinished upload"), (0, 5), body("ab"), lock).await;
        assert!(matches!(truncated, Err(ObjectError::Incomplete)));
        assert!(!disk.path(&key).exists());
        let _exclusive = disk.lock_exclusively(&key).await;
        disk.complete(&key).expect("a complete upload");
        disk.complete(&key).expect("completion is idempotent");
        assert_eq!(fs::read(disk.path(&key)).expect("a readable object"), b"abcdefgh");
        assert!(matches!(disk.unfinished(&key), Err(ObjectError::NoUpload)));
        assert_eq!(fs::read_dir(dir.path().join("uploads")).expect("a readable directory").count(), 0);
    }

    #[test]
    fn old_orphans_are_removed() {
        let (dir, disk) = disk();
        for key in ["imports/a.dump", "imports/b.dump", "imports/c.dump"] {
            disk.begin(key, 8).expect("a new upload");
        }
        let old = SystemTime::now() - 2 * ORPHAN_AGE;
        for key in ["imports/a.dump", "imports/b.dump"] {
            disk.unfinished(key).and_then(|file| Ok(file.set_modified(old)?)).expect("an unfinished upload");
        }
        disk.remove_orphans(&["imports/b.dump".to_owned()]).expect("a writable directory");
        let exists = |name: &str| dir.path().join("uploads").join(name).exists();
        assert_eq!((exists("importsa.dump"), exists("importsb.dump"), exists("importsc.dump")), (false, true, true));
    }
}
