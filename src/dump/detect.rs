//! Identifies a dump by its first bytes, before any network request.

use super::archive::{ArchiveError, MAGIC};
use super::decompress::OuterCompression;
use super::encoding::SourceEncoding;
use super::join::Part;
use super::tar;
use super::tokens::Tokens;
use crate::util::file_identity::{FileIdentity, FileOrigin};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// The formats that `pg_dump` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `pg_dump -Fc`.
    Custom,
    /// `pg_dump -Ft`.
    Tar,
    /// `pg_dump -Fd`.
    Directory,
    /// SQL text for psql.
    #[default]
    Plain,
}

impl Format {
    /// The format name of `pg_dump --format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Tar => "tar",
            Self::Directory => "directory",
            Self::Plain => "plain",
        }
    }
}

/// An opened and identified dump.
#[derive(Debug)]
pub struct DumpFile {
    /// The open file; for a directory, its table of contents.
    pub file: File,
    /// Size in bytes; for a directory, the total of its files.
    pub size: u64,
    /// Identity of the open file, to detect changes.
    pub identity: FileIdentity,
    /// The file given by the user; for a decompressed copy, the original.
    pub origin: Option<FileOrigin>,
    /// Compression of the whole file.
    pub outer_compression: Option<OuterCompression>,
    /// The format, after decompression.
    pub format: Format,
    /// The name in messages.
    pub shown: String,
    /// The files of a joined dump; empty for a single file.
    pub parts: Vec<Part>,
    /// The encoding of its text, whatever it declares.
    pub source_encoding: Option<SourceEncoding>,
    /// The directory of a dump in directory format.
    pub(super) dir: Option<PathBuf>,
}

impl DumpFile {
    /// Sets the encoding of its text, whatever it declares.
    #[must_use]
    pub fn with_source_encoding(self, source_encoding: Option<SourceEncoding>) -> Self {
        Self { source_encoding, ..self }
    }

    /// Duplicates the handle, for use in another thread.
    pub fn try_clone(&self) -> io::Result<Self> {
        let (shown, origin, dir) = (self.shown.clone(), self.origin.clone(), self.dir.clone());
        let (source_encoding, parts) = (self.source_encoding.clone(), self.parts.clone());
        Ok(Self { file: self.file.try_clone()?, shown, parts, source_encoding, origin, dir, ..*self })
    }
}

/// Why a file cannot be read as a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be opened or read.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    /// The file is not a Postgres dump.
    #[error("{0} {1}")]
    NotADump(String, &'static str),
    /// The archive is damaged or truncated.
    #[error("cannot read {0} ({1} format): {2}")]
    Archive(String, &'static str, ArchiveError),
    /// The file is compressed as a whole and cannot be decompressed.
    #[error("cannot decompress {0} as {1}: {2}")]
    Compressed(String, &'static str, io::Error),
}

/// Opens a dump and identifies it by its first bytes.
pub fn open(path: &Path) -> Result<DumpFile, DumpError> {
    let shown = path.display().to_string();
    let unreadable = |error| DumpError::Unreadable(shown.clone(), error);
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return open_directory(path, shown);
    }
    if !about.is_file() {
        return Err(DumpError::NotADump(shown, "is not a regular file; to read a pipe, use --file -"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut dump = identify(file, shown)?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    dump.origin = Some(FileOrigin { path, identity: dump.identity });
    Ok(dump)
}

/// Opens a dump in directory format.
fn open_directory(path: &Path, shown: String) -> Result<DumpFile, DumpError> {
    let Ok(file) = File::open(path.join("toc.dat")) else {
        return Err(DumpError::NotADump(shown, "is a directory, not a dump file"));
    };
    let entries = std::fs::read_dir(path).map_err(|error| DumpError::Unreadable(shown.clone(), error))?;
    let size = entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum();
    let about = file.metadata().map_err(|error| DumpError::Unreadable(shown.clone(), error))?;
    let mut found = DumpFile {
        file,
        size: about.len(),
        identity: FileIdentity::of(&about),
        origin: None,
        outer_compression: None,
        format: Format::Directory,
        shown,
        parts: Vec::new(),
        source_encoding: None,
        dir: None,
    };
    (found.format, found.size, found.dir) = (Format::Directory, size, Some(path.to_owned()));
    Ok(found)
}

/// Identifies an open file; `shown` names it in messages.
pub fn identify(mut file: File, shown: String) -> Result<DumpFile, DumpError> {
    let unreadable = |error| DumpError::Unreadable(shown.clone(), error);
    let about = file.metadata().map_err(unreadable)?;
    let mut start = beginning(&mut file).map_err(unreadable)?;
    let outer_compression = OuterCompression::of(&start);
    if let Some(outer_compression) = outer_compression {
        let try_clone = file.try_clone().map_err(unreadable)?;
        let inside = outer_compression.decompress(try_clone).and_then(|mut inside| read_start(&mut inside));
        start = inside.map_err(|error| DumpError::Compressed(shown.clone(), outer_compression.name(), error))?;
        file.rewind().map_err(unreadable)?;
    }
    let format = match format_of(&start) {
        Ok(format) => format,
        Err(what) => return Err(DumpError::NotADump(shown, what)),
    };
    let identity = FileIdentity::of(&about);
    Ok(DumpFile {
        file,
        size: about.len(),
        identity,
        origin: None,
        outer_compression,
        format,
        shown,
        parts: Vec::new(),
        source_encoding: None,
        dir: None,
    })
}

fn beginning(file: &mut File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let start = read_start(file)?;
    file.rewind()?;
    Ok(start)
}

fn read_start(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(64 << 10).read_to_end(&mut start)?;
    Ok(start)
}

fn format_of(start: &[u8]) -> Result<Format, &'static str> {
    if start.starts_with(MAGIC) {
        // Byte 10 is the layout; toc.dat of a directory or tar archive has the same magic bytes.
        return match start.get(10) {
            _ if has_converted_line_ends(start) => Err(
                "was changed on its way: a carriage return stands before every line feed (docker exec -t, FTP in text mode); copy it again in binary mode",
            ),
            Some(3 | 5) => Err("is part of a directory dump; dump again with pg_dump -Fc"),
            _ => Ok(Format::Custom),
        };
    }
    if tar::is_dump(start) {
        return Ok(Format::Tar);
    }
    if let Some(what) = identify_other(start) {
        return Err(what);
    }
    if !super::statement::starts_like_sql(start) {
        return Err("is text, but not SQL for psql");
    }
    Ok(Format::Plain)
}

/// Whether a terminal or a transfer in text mode has converted the line ends of an archive. Its
/// definitions have line feeds, and pg_dump writes no carriage returns before them.
fn has_converted_line_ends(start: &[u8]) -> bool {
    let mut feeds = memchr::memchr_iter(b'\n', start).peekable();
    feeds.peek().is_some() && feeds.all(|at| at > 0 && start[at - 1] == b'\r')
}

/// Identifies a file that is not a Postgres dump by its first bytes.
fn identify_other(start: &[u8]) -> Option<&'static str> {
    let begins = |magic: &[u8]| start.starts_with(magic);
    // Comments and rows of a Postgres dump may mention other databases.
    let ours = memchr::memmem::find(&start[..start.len().min(512)], b"-- PostgreSQL database").is_some();
    let has = |words: &[u8]| !ours && memchr::memmem::find(start, words).is_some();
    // Only as SQL, not in literals and comments.
    let is_text = starts_like_text(start);
    let has_word =
        |words: &[&str]| !ours && is_text && Tokens::new(start).any(|token| words.iter().any(|word| token.is(word)));
    Some(match start {
        [] => "is empty",
        _ if tar::is_tar(start) => "is a tar archive, not a dump; extract the dump from it first",
        _ if memchr::memmem::find(start, b"\r\r\n").is_some() && !start.contains(&0) => {
            "has line ends that were converted twice (CR CR LF); copy it again in binary mode"
        }
        _ if begins(b"\x1f\x8b") || begins(b"\x28\xb5\x2f\xfd") => "is compressed twice; decompress it first",
        _ if begins(b"BZh") => "is compressed with bzip2; decompress it first (bunzip2)",
        _ if begins(b"\xfd7zXZ\0") => "is compressed with xz; decompress it first (unxz)",
        _ if begins(b"\x04\x22\x4d\x18") => "is compressed with lz4; decompress it first (unlz4)",
        _ if begins(b"7z\xbc\xaf\x27\x1c") => "is a 7z archive; extract the dump first",
        _ if begins(b"PK\x03\x04") => "is a zip archive; extract the dump first",
        _ if begins(b"SQLite format 3\0") => "is a SQLite database, not a Postgres dump",
        _ if begins(b"PRAGMA foreign_keys") => "is a SQLite dump, not a Postgres dump",
        _ if begins(b"TAPE") && start.contains(&0) => "is a Microsoft SQL Server backup, not a Postgres dump",
        _ if has(b"SET ANSI_NULLS ON") || has(b"\nGO\r\n") || begins(b"USE [") => {
            "is a Microsoft SQL Server script, not a Postgres dump"
        }
        _ if begins(b"-- MySQL dump") || begins(b"-- MariaDB dump") || begins(b"-- phpMyAdmin") => MYSQL,
        _ if begins(b"/*!") || begins(b"/*M!") || has(b") ENGINE=") || has(b"CREATE TABLE `") => MYSQL,
        _ if has_word(&["AUTOINCREMENT"]) => "is a SQLite dump, not a Postgres dump",
        _ if has_word(&["DISTKEY", "DISTSTYLE", "SORTKEY"]) => {
            "is SQL for Amazon Redshift, which Postgres does not run"
        }
        _ if has_word(&["CREATE_DISTRIBUTED_TABLE"]) => "is SQL for Citus, which the target does not have",
        _ if has_word(&["VARCHAR2"]) => "is SQL for Oracle, which Postgres does not run",
        _ if has(b"unique_rowid()") || has(b" STORING (") => COCKROACH,
        _ if begins(b"<?xml") && (has(b"<Error>") || has(b"<Code>")) => {
            "is the error page of an object store, not a dump; download the file again"
        }
        _ if ["<!doctype html", "<html"].iter().any(|word| begins_in_any_case(start, word)) => {
            "is a web page, not a dump; download the file again"
        }
        [b'{' | b'[', ..] => "is JSON, not a dump; download the file again",
        _ if memchr::memmem::find(start, b"\nPGDMP").is_some() => {
            "has messages of another program before the archive; dump again with pg_dump -f FILE"
        }
        _ if begins(b"EXPORT:V") => "is an Oracle export, not a Postgres dump",
        _ if begins(b"\x6d\xe2\x99\x81") => "is a MongoDB dump, not a Postgres dump",
        _ if begins(b"\xff\xfe") || begins(b"\xfe\xff") => {
            "is UTF-16, as written by > in PowerShell; dump again with pg_dump -f FILE"
        }
        _ if start.contains(&0) && !starts_like_text(start) => "is a binary file, not a Postgres dump",
        _ => return None,
    })
}

fn begins_in_any_case(start: &[u8], word: &str) -> bool {
    let start = start.trim_ascii_start();
    start.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()))
}

const COCKROACH: &str = "is SQL for CockroachDB, which Postgres does not run";
const MYSQL: &str = "is a MySQL or MariaDB dump, not a Postgres dump";

/// Whether damage lies past the start, so that the file is still read and the damage located.
fn starts_like_text(start: &[u8]) -> bool {
    !start[..start.len().min(256)].contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn format_of(bytes: &[u8]) -> Result<Format, String> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("a writable file");
        identify(file, "app.dump".into()).map(|file| file.format).map_err(|error| error.to_string())
    }

    #[test]
    fn other_file_types_are_recognized() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, expected) in [
            (&b""[..], "app.dump is empty"),
            (&tar, "app.dump is a tar archive, not a dump"),
            (b"\x1f\x8b\x08", "cannot decompress app.dump as gzip: "),
            (b"PK\x03\x04", "a zip archive"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"SQLite format 3\0", "a SQLite database"),
            (b"-- MySQL dump 10.13", "a MySQL or MariaDB dump"),
            (b"\x7fELF\x02\x01\x01\0", "a binary file"),
            (b"\n<!DocType HTML PUBLIC>", "is a web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "the error page of an object store"),
            (b"PGDMP\x01\x0e\0\x04\x08\x01\r\nSET x;\r\n", "a carriage return stands before every line feed"),
            (b"--\r\r\n-- PostgreSQL database dump\r\r\n", "converted twice"),
            (b"CREATE TABLE t (id INT8 DEFAULT unique_rowid());", "CockroachDB"),
            (b"CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT);", "a SQLite dump"),
            (b"CREATE TABLE t (id int) DISTSTYLE EVEN SORTKEY (id);", "Redshift"),
            (b"CREATE TABLE t (a VARCHAR2(10));", "Oracle"),
            (b"{\"a\": 1}", "is JSON"),
            (b"pg_dump: warning: x\nPGDMP\x01\x0e\0", "messages of another program"),
            (b"hello, this is my diary", "is text, but not SQL"),
            (b"TAPE\0\0\x03\0", "a Microsoft SQL Server backup"),
            (b"SET ANSI_NULLS ON\r\nGO\r\n", "a Microsoft SQL Server script"),
            (b"CREATE TABLE `t` (`a` int) ENGINE=InnoDB;", "a MySQL or MariaDB dump"),
            (b"PRAGMA foreign_keys=OFF;", "a SQLite dump"),
        ] {
            let message = format_of(bytes).expect_err(expected);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn plain_sql_is_recognized() {
        for text in [
            "-- a comment\nCREATE TABLE t (a int);",
            "/* c */ insert into t values (1);",
            "\\restrict abc\nSET x = 1;",
            "--\n-- PostgreSQL database dump\n--\nSET x = 1;\n--\n-- PostgreSQL database dump complete\n--\n",
        ] {
            assert_eq!(format_of(text.as_bytes()), Ok(Format::Plain), "{text}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = format_of(&bytes);
        }
    }
}
