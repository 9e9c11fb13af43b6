//! Receives a request body into a file, with limits on disk space and time.

use super::ObjectError;
use crate::util::fs::free_disk;
use axum::body::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use futures_util::{Stream, StreamExt};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes that are buffered before they are written.
const WRITE_BLOCK: usize = 1 << 20;

/// Timeout for the next bytes of an upload.
const STALL: Duration = Duration::from_mins(1);

/// An upload must send at least this many bytes per [`STALL_LIMIT`].
const MIN_PROGRESS: u64 = 1 << 20;
/// The period of [`MIN_PROGRESS`].
const STALL_LIMIT: Duration = Duration::from_mins(5);

/// Free disk space that uploads must leave to the databases on the same disk, in bytes.
const MIN_FREE_DISK: u64 = 256 << 20;

/// The free space of a disk, and reservations of running uploads.
pub(super) struct DiskSpace {
    dir: PathBuf,
    /// Bytes that running uploads have declared but not yet stored.
    reserved: AtomicU64,
}

impl DiskSpace {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, reserved: AtomicU64::new(0) }
    }

    /// Checks that there is space for this many bytes besides running uploads.
    pub(super) fn has(&self, length: u64) -> Result<(), ObjectError> {
        drop(self.reservation(length)?);
        Ok(())
    }

    /// Reserves space for this many bytes.
    fn reservation(&self, length: u64) -> Result<Reservation<'_>, ObjectError> {
        let others = self.reserved.fetch_add(length, Ordering::Relaxed);
        let reservation = Reservation { reserved: &self.reserved, left: length };
        let needed = length.saturating_add(others).saturating_add(MIN_FREE_DISK);
        if self.free()? < needed { Err(ObjectError::NotEnoughSpace) } else { Ok(reservation) }
    }

    /// Free space, in bytes.
    fn free(&self) -> io::Result<u64> {
        free_disk(&self.dir).ok_or_else(|| io::Error::other("cannot read the free disk space"))
    }
}

/// Writes a body of declared length to a file at an offset, both in bytes, and returns its CRC-64/NVME.
/// `held` is kept until the last byte is written, even if the caller is dropped.
pub(super) async fn receive<E>(
    disk_space: &DiskSpace,
    file: File,
    start: u64,
    length: u64,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    held: impl Send + Sync + 'static,
) -> Result<u64, ObjectError> {
    let mut reservation = disk_space.reservation(length)?;
    let (file, held) = (Arc::new(file), Arc::new(held));
    let (mut sum, mut stored) = (crc_fast::Digest::new(Crc64Nvme), 0);
    let (mut since, mut before) = (Instant::now(), 0);
    let mut gathered = Vec::with_capacity(WRITE_BLOCK);
    let mut more = true;
    while more {
        match tokio::time::timeout(STALL, body.next()).await.map_err(|_| ObjectError::Stalled)? {
            Some(Ok(block)) => gathered.extend_from_slice(&block),
            Some(Err(_)) => return Err(ObjectError::Incomplete),
            None => more = false,
        }
        let arrived = stored + gathered.len() as u64;
        if arrived > length {
            return Err(ObjectError::Incomplete);
        }
        if arrived - before >= MIN_PROGRESS {
            if disk_space.free()? < MIN_FREE_DISK {
                return Err(ObjectError::NotEnoughSpace);
            }
            (since, before) = (Instant::now(), arrived);
        } else if since.elapsed() > STALL_LIMIT {
            return Err(ObjectError::Stalled);
        }
        if gathered.len() < WRITE_BLOCK && more {
            continue;
        }
        let (at, file, held) = (start + stored, file.clone(), held.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let written = file.write_all_at(&gathered, at);
            sum.update(&gathered);
            drop(held);
            written.map(|()| (gathered, sum))
        });
        (gathered, sum) = writing.await.map_err(io::Error::other)??;
        reservation.keep(gathered.len() as u64);
        stored += gathered.len() as u64;
        gathered.clear();
    }
    if stored != length {
        return Err(ObjectError::Incomplete);
    }
    // Acknowledged data must survive a power failure.
    tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(io::Error::other)??;
    Ok(sum.finalize())
}

/// Disk space reserved for the rest of an upload.
struct Reservation<'a> {
    reserved: &'a AtomicU64,
    left: u64,
}

impl Reservation<'_> {
    /// Releases this many bytes, which have been stored.
    fn keep(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.keep(self.left);
    }
}
