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

/// A private file that grows.
pub struct Spool {
    file: File,
    /// Its length in bytes.
    length: u64,
    /// Its line ends.
    lines: u64,
    /// The length at the last check of the free space, in bytes.
    checked: u64,
    progress: ByteCounter,
}

impl Spool {
    /// Creates an empty file. `expected` bytes must be free; `progress` is set to the bytes written.
    pub fn new(expected: u64, progress: &ByteCounter) -> Result<Self, SpoolError> {
        Ok(Self { file: create(expected)?, length: 0, lines: 0, checked: 0, progress: progress.clone() })
    }

    /// Where the next bytes go: offset in bytes, and line from 1.
    pub fn position(&self) -> (u64, u64) {
        (self.length, 1 + self.lines)
    }

    /// Appends everything that the reader returns.
    pub fn append(&mut self, mut reader: impl Read) -> Result<(), SpoolError> {
        let mut block = vec![0; 256 << 10];
        loop {
            let got = match reader.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(SpoolError::Read)?,
            };
            if got == 0 {
                return Ok(());
            }
            self.length += got as u64;
            self.lines += memchr::memchr_iter(b'\n', &block[..got]).count() as u64;
            if self.length - self.checked > CHECK_INTERVAL {
                self.checked = self.length;
                if let Some(free) = free_disk(&dir()).filter(|free| *free < RESERVE) {
                    return Err(SpoolError::NotEnoughSpace(dir(), free, RESERVE));
                }
            }
            self.file.write_all(&block[..got]).map_err(SpoolError::Write)?;
            self.progress.store(self.length, Ordering::Relaxed);
        }
    }

    /// The file.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// Copies a reader into a private file. `expected` bytes must be free beforehand; `progress` is set to
/// the bytes copied.
pub fn copy(reader: impl Read, expected: u64, progress: &ByteCounter) -> Result<File, SpoolError> {
    let mut spool = Spool::new(expected, progress)?;
    spool.append(reader)?;
    Ok(spool.into_file())
}
