//! Private copies of dumps that are piped or compressed: an upload needs the length, and the checks
//! need more than one pass.

use crate::util::byte_counter::ByteCounter;
use crate::util::fs::free_disk;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Disk space to leave free, in bytes.
const RESERVE: u64 = 64 << 20;

/// Bytes written between two checks of the free space.
const CHECK_INTERVAL: u64 = 256 << 20;

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Not enough disk space: directory, free bytes, required bytes.
    #[error("not enough disk space in {0}: {1} bytes free, {2} required")]
    NotEnoughSpace(PathBuf, u64, u64),
    /// The dump exceeds the maximum, in bytes.
    #[error("the dump is larger than {0} bytes")]
    TooLarge(u64),
    /// Reading failed.
    #[error("read error: {0}")]
    Read(io::Error),
    /// Writing failed.
    #[error("write error: {0}")]
    Write(io::Error),
}

/// The directory for copies: the directory for temporary files.
pub fn dir() -> PathBuf {
    std::env::temp_dir()
}

/// Creates an unnamed temporary file, which the system deletes when the program ends. `expected` bytes
/// must be free.
pub fn create(expected: u64) -> Result<File, SpoolError> {
    let dir = dir();
    let needed = expected.saturating_add(RESERVE);
    if let Some(free) = free_disk(&dir).filter(|free| *free < needed) {
        return Err(SpoolError::NotEnoughSpace(dir, free, needed));
    }
    tempfile::tempfile_in(&dir).map_err(SpoolError::Write)
}

/// Copies a reader into a private file. `expected` bytes must be free beforehand, `most` bytes are
/// accepted; `progress` is set to the bytes copied.
pub fn copy(mut reader: impl Read, expected: u64, most: u64, progress: &ByteCounter) -> Result<File, SpoolError> {
    let mut file = create(expected)?;
    let mut block = vec![0; 256 << 10];
    let (mut length, mut contents_of_bytes) = (0_u64, 0_u64);
    loop {
        let got = match reader.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(SpoolError::Read)?,
        };
        if got == 0 {
            return Ok(file);
        }
        length += got as u64;
        if length > most {
            return Err(SpoolError::TooLarge(most));
        }
        if length - contents_of_bytes > CHECK_INTERVAL {
            contents_of_bytes = length;
            if let Some(free) = free_disk(&dir()).filter(|free| *free < RESERVE) {
                return Err(SpoolError::NotEnoughSpace(dir(), free, RESERVE));
            }
        }
        file.write_all(&block[..got]).map_err(SpoolError::Write)?;
        progress.store(length, Ordering::Relaxed);
    }
}
