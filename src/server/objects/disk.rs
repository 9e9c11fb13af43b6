use crate::server::crypto::{Signer, random_hex};
use crate::server::postgres::RunAs;
use futures_util::{Stream, StreamExt};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;

/// How long an upload URL works.
pub(super) const URL_LIFE: Duration = Duration::from_hours(1);

/// Bytes that are gathered before they are written.
const WRITE_BLOCK: usize = 1 << 20;

/// A folder of objects.
pub(crate) struct Disk {
    folder: PathBuf,
    signer: Signer,
    run_as: Option<RunAs>,
    /// Bytes that running uploads have announced and not yet sent.
    promised: AtomicU64,
}

/// An upload that sends nothing for so long is given up.
const STALL: Duration = Duration::from_mins(1);

/// An upload must bring at least this much, in bytes, …
const LEAST: u64 = 1 << 20;
/// … in this time.
const PATIENCE: Duration = Duration::from_mins(5);

/// Free space that no upload may take: the databases on the same disk need it to go on. In
/// bytes.
const RESERVE: u64 = 256 << 20;

/// The signed part of an upload URL.
#[derive(Debug)]
pub(crate) struct Ticket {
    expires: u64,
    signature: String,
}

impl Ticket {
    /// Reads a query, if it is written just as we write it.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let (expires, signature) = query.strip_prefix("expires=")?.split_once("&signature=")?;
        let ticket = Self { expires: expires.parse().ok()?, signature: signature.to_ascii_lowercase() };
        (ticket.query() == query).then_some(ticket)
    }

    fn query(&self) -> String {
        format!("expires={}&signature={}", self.expires, self.signature)
    }
}

/// Why an upload is not taken. Each has the status and code that S3 would answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The signature is not ours, or not for this object.
    #[error("The request signature we calculated does not match the signature you provided.")]
    Signature,
    /// The URL has expired.
    #[error("Request has expired")]
    Expired,
    /// The URL has done its work.
    #[error("This URL has been used; ask for another one")]
    Used,
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
    /// The body ended too early, or went on too long.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    Incomplete,
    /// Storing failed.
    #[error("We encountered an internal error. Please try again.")]
    Storage(#[from] io::Error),
}

impl Disk {
    /// Opens a folder of objects, made when missing.
    pub(crate) fn open(folder: PathBuf, signer: Signer, run_as: Option<RunAs>) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if let Some(user) = &run_as {
            user.own(&folder)?;
        }
        // What a kill left half-written.
        for entry in fs::read_dir(&folder)?.flatten().filter(|entry| entry.path().extension() == Some("part".as_ref()))
        {
            fs::remove_file(entry.path())?;
        }
        Ok(Self { folder, signer, run_as, promised: AtomicU64::new(0) })
    }

    /// A key that no object has yet.
    pub(crate) fn new_key() -> String {
        format!("imports/{}.dump", random_hex(16))
    }

    /// The query of a URL that takes an upload for one hour, and the end of its life.
    pub(crate) fn sign(&self, key: &str) -> (String, SystemTime) {
        let end = SystemTime::now() + URL_LIFE;
        let expires = seconds(end);
        let signature = self.signer.sign(&signed_text(key, expires));
        (Ticket { expires, signature }.query(), end)
    }

    /// Whether a ticket opens this object now.
    pub(crate) fn check(&self, key: &str, ticket: &Ticket) -> Result<(), Refusal> {
        if !self.signer.verifies(&signed_text(key, ticket.expires), &ticket.signature) {
            return Err(Refusal::Signature);
        }
        if ticket.expires < seconds(SystemTime::now()) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    /// Stores a body of declared length. The object appears whole or not at all.
    pub(crate) async fn put<E>(
        &self,
        key: &str,
        length: u64,
        mut body: impl Stream<Item = Result<axum::body::Bytes, E>> + Unpin,
    ) -> Result<(), Refusal> {
        let path = self.path(key);
        let mut promise = self.promise(length)?;
        let (mut since, mut before) = (Instant::now(), 0);
        let part = self.folder.join(format!("{}.part", random_hex(8)));
        let removal = RemoveOnDrop(&part);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        let mut file = tokio::io::BufWriter::with_capacity(WRITE_BLOCK, tokio::fs::File::from_std(file));
        let mut stored = 0;
        while let Some(block) = tokio::time::timeout(STALL, body.next()).await.map_err(|_| Refusal::Stalled)? {
            let Ok(block) = block else { return Err(Refusal::Incomplete) };
            stored += block.len() as u64;
            if stored > length {
                return Err(Refusal::Incomplete);
            }
            promise.keep(block.len() as u64);
            if stored - before >= LEAST {
                if self.free()? < RESERVE {
                    return Err(Refusal::NoRoom);
                }
                (since, before) = (Instant::now(), stored);
            } else if since.elapsed() > PATIENCE {
                return Err(Refusal::Stalled);
            }
            file.write_all(&block).await?;
        }
        if stored != length {
            return Err(Refusal::Incomplete);
        }
        file.flush().await?;
        file.get_ref().sync_all().await?;
        if let Some(user) = &self.run_as {
            user.own(&part)?;
        }
        // A link does not replace what a faster upload to the same URL has put there.
        let linked = fs::hard_link(&part, &path);
        drop(removal);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Refusal::Used),
            linked => Ok(linked?),
        }
    }

    /// Sets room aside.
    fn promise(&self, length: u64) -> Result<Promise<'_>, Refusal> {
        let others = self.promised.fetch_add(length, Ordering::Relaxed);
        let promise = Promise { promised: &self.promised, left: length };
        let needed = length.saturating_add(others).saturating_add(RESERVE);
        if self.free()? < needed { Err(Refusal::NoRoom) } else { Ok(promise) }
    }

    /// Free space, in bytes.
    fn free(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Where an object lies. Keys are ours, so this stays below the folder.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        let name: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        self.folder.join(name.trim_start_matches('.'))
    }

    /// Removes an object; one that is gone already is fine.
    pub(crate) fn delete(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Room that is set aside for what has not come yet.
struct Promise<'a> {
    promised: &'a AtomicU64,
    left: u64,
}

impl Promise<'_> {
    /// So many bytes have come.
    fn keep(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.promised.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.keep(self.left);
    }
}

struct RemoveOnDrop<'a>(&'a Path);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0); // swept at the next start otherwise
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn signed_text(key: &str, expires: u64) -> String {
    format!("PUT\n{key}\n{expires}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(folder.path().join("objects"), Signer::new(b"k"), None).expect("opens");
        (folder, disk)
    }

    fn ticket(query: &str) -> Ticket {
        Ticket::parse(query).expect("a ticket")
    }

    #[test]
    fn a_ticket_opens_one_object_until_it_expires() {
        let (_folder, disk) = disk();
        let good = ticket(&disk.sign("imports/a.dump").0);
        assert!(disk.check("imports/a.dump", &good).is_ok());
        assert!(matches!(disk.check("imports/b.dump", &good), Err(Refusal::Signature)));
        let later = Ticket { expires: good.expires + 1, signature: good.signature };
        assert!(matches!(disk.check("imports/a.dump", &later), Err(Refusal::Signature)));
        let past = Ticket { expires: 1, signature: disk.signer.sign(&signed_text("imports/a.dump", 1)) };
        assert!(matches!(disk.check("imports/a.dump", &past), Err(Refusal::Expired)));
    }

    #[test]
    fn a_query_is_ours_to_the_last_character() {
        let (_folder, disk) = disk();
        let query = disk.sign("imports/a.dump").0;
        assert!(Ticket::parse(&query).is_some());
        for other in [
            query.to_uppercase(),
            query.replace("expires=", "expires=0"),
            query.replace("expires=", "expires=+"),
            query.replace('&', "&&"),
            format!("{query}&"),
            format!("{query}&x=1"),
            query.replace("signature=", "signature=A"),
        ] {
            let opened = Ticket::parse(&other).is_some_and(|ticket| disk.check("imports/a.dump", &ticket).is_ok());
            assert!(!opened, "{other}");
        }
    }

    #[tokio::test]
    async fn an_object_appears_whole_or_not_at_all() {
        let (folder, disk) = disk();
        let body = |parts: &[&'static str]| {
            let parts: Vec<_> = parts.iter().map(|part| Ok::<_, io::Error>(axum::body::Bytes::from(*part))).collect();
            futures_util::stream::iter(parts)
        };
        let key = Disk::new_key();
        assert!(matches!(disk.put(&key, 6, body(&["abc"])).await, Err(Refusal::Incomplete)));
        assert!(matches!(disk.put(&key, 2, body(&["abc"])).await, Err(Refusal::Incomplete)));
        assert_eq!(fs::read_dir(folder.path().join("objects")).expect("lists").count(), 0);
        disk.put(&key, 6, body(&["abc", "def"])).await.expect("stores");
        assert!(matches!(disk.put(&key, 6, body(&["xxxxxx"])).await, Err(Refusal::Used)));
        assert!(matches!(disk.put(&Disk::new_key(), u64::MAX, body(&[])).await, Err(Refusal::NoRoom)));
        assert_eq!(fs::read(disk.path(&key)).expect("reads"), b"abcdef");
        disk.delete(&key).expect("deletes");
        disk.delete(&key).expect("is gone");
    }

    #[test]
    fn a_key_cannot_leave_the_folder() {
        let (_folder, disk) = disk();
        for key in ["../../etc/passwd", "/etc/passwd", "..", "a/../../b"] {
            assert!(disk.path(key).starts_with(&disk.folder), "{key}");
        }
    }
}
