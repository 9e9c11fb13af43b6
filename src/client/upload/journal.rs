//! The journal of a multipart upload, from which a later run resumes.

use crate::util::file_identity::{FileIdentity, FileOrigin};
use crate::wire::{crc64_of_text, crc64_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Maximum age of a journal; by then the upload has expired.
const RETENTION: Duration = Duration::from_hours(7 * 24);

/// The journal of a multipart upload: one line of JSON for the upload, then one for each part
/// that storage has confirmed. A line truncated by a crash is ignored. Contains no secrets.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Locked, so that a concurrent command does not send the same parts.
    file: File,
}

/// The first line: identifies the upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JournalHeader {
    pub(super) api_url: String,
    pub(super) project_id: String,
    pub(super) upload_id: String,
    pub(super) path: PathBuf,
    pub(super) identity: FileIdentity,
    /// Length of the upload in bytes; the file itself may be compressed.
    pub(super) size: u64,
    /// Length of every part except the last, in bytes.
    pub(super) part_size: u64,
}

#[derive(Serialize, Deserialize)]
struct PartLine {
    part: u32,
    crc64nvme: String,
}

/// The content of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JournalEntry {
    pub(super) header: JournalHeader,
    /// CRC-64/NVME of the stored parts, by part number.
    pub(super) parts: BTreeMap<u32, u64>,
}

impl Journal {
    /// Opens the journal of a dump's upload to a project. `None` if there is no directory for it or
    /// another command has it locked; the upload then cannot be resumed.
    pub(super) fn open(api_url: &str, project_id: &str, origin: &FileOrigin) -> Option<Self> {
        let folder = crate::config::uploads_dir()?;
        let name = format!("{api_url}\n{project_id}\n{}", origin.path.display());
        let name = format!("{:016x}.jsonl", crc_fast::crc64_nvme(name.as_bytes()));
        Self::open_at(&folder, &name).inspect_err(|error| tracing::debug!("cannot open the journal: {error}")).ok()
    }

    fn open_at(folder: &Path, name: &str) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        {
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        builder.recursive(true).create(folder)?;
        remove_expired(folder);
        let path = folder.join(name);
        let file = options.read(true).append(true).create(true).open(&path)?;
        file.try_lock()?;
        Ok(Self { path, file })
    }

    /// Reads the state of an earlier run.
    pub(super) fn read(&mut self) -> Option<JournalEntry> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        entry(&text)
    }

    /// Replaces the journal with a new one.
    pub(super) fn begin(&mut self, header: &JournalHeader) -> io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(header)?);
        self.file.set_len(0)?;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_all()
    }

    /// Records a stored part. If the line is lost, the part is sent again.
    pub(super) fn stored(&mut self, part: u32, crc64: u64) {
        let line = PartLine { part, crc64nvme: crc64_text(crc64) };
        let written = serde_json::to_string(&line).map(|line| self.file.write_all(format!("\n{line}\n").as_bytes()));
        if let Ok(Err(error)) = written {
            tracing::debug!("cannot write the journal: {error}");
        }
    }

    /// Deletes the journal.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path); // deleted after a week
    }
}

fn entry(text: &str) -> Option<JournalEntry> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let header = serde_json::from_str(lines.next()?).ok()?;
    let part = |line: &str| {
        let line: PartLine = serde_json::from_str(line).ok()?;
        Some((line.part, crc64_of_text(&line.crc64nvme)?))
    };
    Some(JournalEntry { header, parts: lines.filter_map(part).collect() })
}

/// Deletes expired journals.
fn remove_expired(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let old = entry.metadata().and_then(|about| about.modified());
        let old = old.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if old.is_some_and(|age| age > RETENTION) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> JournalHeader {
        JournalHeader {
            api_url: "https://api.example".into(),
            project_id: "p1".into(),
            upload_id: "u1".into(),
            path: "/data/app.dump".into(),
            identity: FileIdentity { size: 20, modified: 3, device: 1, inode: 2 },
            size: 20,
            part_size: 8,
        }
    }

    #[test]
    fn a_reopened_journal_has_every_entry_but_a_torn_line() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let open = || Journal::open_at(&dir.path().join("uploads"), "x.jsonl");
        let mut journal = open().expect("a new journal");
        assert_eq!(journal.read(), None);
        journal.begin(&header()).expect("a writable journal");
        journal.stored(1, 7);
        assert!(open().is_err(), "the journal is locked");
        // A crash tears this line.
        journal.file.write_all(b"{\"part\":2,\"crc64n").expect("a writable journal");
        journal.stored(3, u64::MAX);
        drop(journal);
        let mut journal = open().expect("an unlocked journal");
        let entry = journal.read().expect("an entry");
        assert_eq!(entry.header, header());
        assert_eq!(entry.parts.into_iter().collect::<Vec<_>>(), [(1, 7), (3, u64::MAX)]);
        journal.begin(&header()).expect("a writable journal");
        assert!(journal.read().expect("an entry").parts.is_empty());
        #[cfg(unix)]
        {
            let mode = |path: &Path| {
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("an existing file").permissions())
            };
            assert_eq!(mode(&journal.path) & 0o777, 0o600);
            assert_eq!(mode(journal.path.parent().expect("a parent directory")) & 0o777, 0o700);
        }
        let path = journal.path.clone();
        journal.remove();
        assert!(!path.exists());
    }

    proptest! {
        #[test]
        fn a_truncated_journal_has_no_false_entry(text in "\\PC{0,200}", length in 0_usize..400) {
            let _ = entry(&text);
            let header_line = serde_json::to_string(&header()).expect("a serializable header");
            let journal = format!("{header_line}\n\n{{\"part\":1,\"crc64nvme\":\"AAAAAAAAAAc=\"}}\n");
            let length = journal.len().min(length);
            // A prefix of the journal contains nothing that was not written.
            if let Some(entry) = entry(&journal[..length]) {
                prop_assert!(entry.header == header() && entry.parts.iter().all(|part| part == (&1, &7)));
            }
        }
    }
}
