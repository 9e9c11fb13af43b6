//! By what a file is known again.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::path::PathBuf;

/// Length, time of the last change and, where the system has them, the numbers of the file.
/// They tell a file that is being written, and one that took the name of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Length in bytes.
    pub size: u64,
    /// Nanoseconds since 1970 at the last change; 0 where it is not known.
    pub modified: u64,
    /// The disk's number.
    pub device: u64,
    /// The file's number on its disk.
    pub inode: u64,
}

impl FileIdentity {
    /// Reads what the system knows.
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

/// The file that a person named, as it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrigin {
    /// Its name, without links and relative steps.
    pub path: PathBuf,
    /// What it was.
    pub identity: FileIdentity,
}
