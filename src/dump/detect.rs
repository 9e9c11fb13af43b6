//! Tells what a file is by its content, before anything is asked or sent.

use super::archive::{Archive, ArchiveError, Data, Header, Layout, MAGIC};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

/// The formats that an import takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpFormat {
    /// `pg_dump -Fc`, with what its header says.
    Custom(Header),
    /// SQL text for psql.
    Plain,
}

impl DumpFormat {
    /// The word for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::Plain => "plain",
        }
    }
}

/// A dump that was opened and identified.
#[derive(Debug)]
pub struct DumpFile {
    /// The open file.
    pub file: File,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last changed, by which a file that is being written is known.
    pub modified: Option<SystemTime>,
    /// What it is.
    pub format: DumpFormat,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum DumpProblem {
    /// It cannot be opened or read.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    /// It is something else than a dump that an import takes.
    #[error("{0} {1}")]
    NotADump(String, &'static str),
    /// An archive that is damaged or cut off.
    #[error("{0} is a dump in custom format, but {1}")]
    Archive(String, ArchiveError),
    /// It ends too early.
    #[error("{0} is cut off: {1}")]
    CutOff(String, &'static str),
}

/// Opens a dump and identifies it by its first and last bytes.
pub fn open(path: &Path) -> Result<DumpFile, DumpProblem> {
    let shown = path.display().to_string();
    let unreadable = |error| DumpProblem::Unreadable(shown.clone(), error);
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        let what = if path.join("toc.dat").is_file() {
            "is a dump in directory format, which cannot be uploaded as one file"
        } else {
            "is a directory, not a dump file"
        };
        return Err(DumpProblem::NotADump(shown, what));
    }
    if !about.is_file() {
        return Err(DumpProblem::NotADump(shown, "is not a regular file, so its length is not known"));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let format = identify(&mut file, about.len(), &shown)?;
    file.rewind().map_err(unreadable)?;
    Ok(DumpFile { file, size: about.len(), modified: about.modified().ok(), format })
}

/// Identifies an open file of known length; `shown` names it in messages.
pub fn identify(file: &mut File, size: u64, shown: &str) -> Result<DumpFormat, DumpProblem> {
    let unreadable = |error| DumpProblem::Unreadable(shown.to_owned(), error);
    let mut start = Vec::new();
    file.rewind().map_err(unreadable)?;
    file.by_ref().take(64 << 10).read_to_end(&mut start).map_err(unreadable)?;
    if let Some(what) = foreign(&start) {
        return Err(DumpProblem::NotADump(shown.to_owned(), what));
    }
    if start.starts_with(MAGIC) {
        let header = check_archive(file, size, shown)?;
        if header.layout != Layout::Custom {
            return Err(DumpProblem::NotADump(
                shown.to_owned(),
                "is the table of contents of a dump in directory format",
            ));
        }
        return Ok(DumpFormat::Custom(header));
    }
    check_plain(file, &start, size, shown)?;
    Ok(DumpFormat::Plain)
}

/// Names a file that is no dump an import takes, by its first bytes.
fn foreign(start: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| start.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    Some(match start {
        [] => "is empty",
        _ if at(257, b"ustar") && at(0, b"toc.dat\0") => "is a dump in tar format",
        _ if at(257, b"ustar") => "is a tar archive, not a dump",
        _ if at(0, b"\x1f\x8b") => "is compressed with gzip; unpack it first (gunzip)",
        _ if at(0, b"\x28\xb5\x2f\xfd") => "is compressed with zstd; unpack it first (unzstd)",
        _ if at(0, b"BZh") => "is compressed with bzip2; unpack it first (bunzip2)",
        _ if at(0, b"\xfd7zXZ\0") => "is compressed with xz; unpack it first (unxz)",
        _ if at(0, b"\x04\x22\x4d\x18") => "is compressed with lz4; unpack it first (unlz4)",
        _ if at(0, b"PK\x03\x04") => "is a zip archive; unpack it first",
        _ if at(0, b"SQLite format 3\0") => "is a SQLite database, not a Postgres dump",
        _ if at(0, b"-- MySQL dump") || at(0, b"-- MariaDB dump") || at(0, b"/*!999999") || at(0, b"/*M!999999") => {
            "is a dump of MySQL or MariaDB, not of Postgres"
        }
        _ if at(0, b"\xff\xfe") || at(0, b"\xfe\xff") => {
            "is text in UTF-16 (PowerShell's > writes that); dump again with pg_dump -f FILE"
        }
        _ if at(0, MAGIC) => return None,
        _ if start.contains(&0) => "is a binary file, and not one that pg_dump writes",
        _ => return None,
    })
}

fn check_archive(file: &mut File, size: u64, shown: &str) -> Result<Header, DumpProblem> {
    let bad = |error| DumpProblem::Archive(shown.to_owned(), error);
    let cut = |why| DumpProblem::CutOff(shown.to_owned(), why);
    file.rewind().map_err(|error| bad(error.into()))?;
    let mut archive = Archive::open(BufReader::with_capacity(128 << 10, &mut *file)).map_err(bad)?;
    let header = archive.header().clone();
    let mut any_data = false;
    while let Some(entry) = archive.next_entry().map_err(bad)? {
        any_data |= entry.data != Data::None;
        if matches!(entry.data, Data::At(offset) if offset >= size) {
            return Err(cut("its table of contents names data beyond the end of the file"));
        }
    }
    // The last block of data ends with the number zero: a sign byte and at least two more.
    let mut end = [1; 3];
    if any_data && read_end(file, size, &mut end).is_ok() && end != [0; 3] {
        return Err(cut("the end of its last table is missing"));
    }
    Ok(header)
}

fn check_plain(file: &mut File, start: &[u8], size: u64, shown: &str) -> Result<(), DumpProblem> {
    if !super::statement::starts_like_sql(start) {
        return Err(DumpProblem::NotADump(shown.to_owned(), "is text, but not SQL that pg_dump or psql would write"));
    }
    let made_by_pg_dump =
        memchr::memmem::find(&start[..start.len().min(512)], b"-- PostgreSQL database dump").is_some();
    let mut end = vec![0; usize::try_from(size.min(4096)).unwrap_or(4096)];
    read_end(file, size, &mut end).map_err(|error| DumpProblem::Unreadable(shown.to_owned(), error))?;
    let finished = memchr::memmem::find(&end, b"-- PostgreSQL database dump complete").is_some()
        || memchr::memmem::find(&end, b"-- PostgreSQL database cluster dump complete").is_some();
    if made_by_pg_dump && !finished {
        let why = "the line \"PostgreSQL database dump complete\" that ends every dump is missing";
        return Err(DumpProblem::CutOff(shown.to_owned(), why));
    }
    Ok(())
}

fn read_end(file: &mut File, size: u64, end: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(size.saturating_sub(end.len() as u64)))?;
    file.read_exact(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn identified(bytes: &[u8]) -> Result<DumpFormat, String> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        identify(&mut file, bytes.len() as u64, "it").map_err(|problem| problem.to_string())
    }

    #[test]
    fn names_what_is_no_dump() {
        let mut tar = vec![0; 512];
        tar[..8].copy_from_slice(b"toc.dat\0");
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, words) in [
            (&b""[..], "it is empty"),
            (&tar, "it is a dump in tar format"),
            (b"\x1f\x8b\x08", "compressed with gzip"),
            (b"PK\x03\x04", "a zip archive"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"SQLite format 3\0", "a SQLite database"),
            (b"-- MySQL dump 10.13", "a dump of MySQL"),
            (b"\x7fELF\x02\x01\x01\0", "a binary file"),
            (b"<!doctype html>", "is text, but not SQL"),
            (b"{\"a\": 1}", "is text, but not SQL"),
            (b"hello, this is my diary", "is text, but not SQL"),
            (b"PGDMP", "is cut off"),
            (b"--\n-- PostgreSQL database dump\n--\nSET x = 1;\n", "is cut off"),
        ] {
            let said = identified(bytes).expect_err(words);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn knows_plain_sql() {
        for text in [
            "-- a comment\nCREATE TABLE t (a int);",
            "/* c */ insert into t values (1);",
            "\\restrict abc\nSET x = 1;",
            "--\n-- PostgreSQL database dump\n--\nSET x = 1;\n--\n-- PostgreSQL database dump complete\n--\n",
        ] {
            assert_eq!(identified(text.as_bytes()), Ok(DumpFormat::Plain), "{text}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = identified(&noise);
        }
    }
}
