//! Identity of a file, to detect changes.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::path::PathBuf;

/// Length, modification time and, on Unix, device and inode. They change if a file is written
/// or replaced by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Length in bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970; 0 if unknown.
    pub modified: u64,
    /// Device number; 0 if not Unix.
    pub device: u64,
    /// Inode number; 0 if not Unix.
    pub inode: u64,
}

impl FileIdentity {
    /// Reads the identity from metadata.
    pub fn of(about: &Metadata) -> Self {
        let since = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or_default();
        #[cfg(unix)]
        let (device, inode) = (std::os::unix::fs::MetadataExt::dev(about), std::os::unix::fs::MetadataExt::ino(about));
        #[cfg(not(unix))]
        let (device, inode) = (0, 0);
        Self { size: about.len(), modified, device, inode }
    }
}

/// The file that the user named, as of when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrigin {
    /// Canonical path.
    pub path: PathBuf,
    /// Identity when it was opened.
    pub identity: FileIdentity,
}
