//! A private copy of a dump that came by a pipe or compressed: storage needs its length, and a
//! look at it needs more than one pass.

use crate::util::byte_counter::ByteCounter;
use crate::util::fs::free_disk;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Disk that must stay free for everybody else, in bytes.
const SPARE: u64 = 64 << 20;

/// Bytes between two looks at the disk.
const LOOK_EVERY: u64 = 256 << 20;

/// Why a copy did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk is too small.
    #[error("{0} has {1} bytes free, and the dump needs {2}")]
    NoRoom(PathBuf, u64, u64),
    /// It is larger than what the plan can take.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// Reading failed.
    #[error("reading failed: {0}")]
    Read(io::Error),
    /// Writing failed.
    #[error("writing failed: {0}")]
    Write(io::Error),
}

/// Where copies are made: the folder for temporary files.
pub fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// An empty file that only its holder can reach. It has no name, so nothing is left of it
/// however the program ends.
pub fn create(expected: u64) -> Result<File, SpoolError> {
    let folder = folder();
    let needed = expected.saturating_add(SPARE);
    if let Some(free) = free_disk(&folder).filter(|free| *free < needed) {
        return Err(SpoolError::NoRoom(folder, free, needed));
    }
    tempfile::tempfile_in(&folder).map_err(SpoolError::Write)
}

/// Copies a reader into a private file. `expected` bytes must be free beforehand, `most` may
/// come; `progress` counts what has come.
pub fn copy(mut reader: impl Read, expected: u64, most: u64, progress: &ByteCounter) -> Result<File, SpoolError> {
    let mut file = create(expected)?;
    let mut block = vec![0; 256 << 10];
    let (mut length, mut looked) = (0_u64, 0_u64);
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
        if length - looked > LOOK_EVERY {
            looked = length;
            if let Some(free) = free_disk(&folder()).filter(|free| *free < SPARE) {
                return Err(SpoolError::NoRoom(folder(), free, SPARE));
            }
        }
        file.write_all(&block[..got]).map_err(SpoolError::Write)?;
        progress.store(length, Ordering::Relaxed);
    }
}
