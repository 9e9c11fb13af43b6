//! Reader of the header and table of contents that `pg_dump` writes in its custom, tar and
//! directory formats (archive versions 1.10 to 1.16, Postgres 8.4 to 18).
//!
//! The layout follows `pg_backup_archiver.c` of Postgres. Entries are returned one by
//! one, so memory does not grow with their number.

use super::encoding::{SourceEncoding, TextEncoding};
use super::statement::client_encoding;
use std::io::{self, BufRead};

/// How the archive's data is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One file (`-Fc`).
    Custom,
    /// A tar file or a directory; both store this table of contents as `toc.dat`.
    Tar,
    /// A directory written by a version before 17.
    Directory,
}

/// How the data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip, the only method before Postgres 16.
    Gzip,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

impl Compression {
    /// The method name of `pg_dump -Z`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// The header before the table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Major and minor of the archive version.
    pub version: (u8, u8),
    /// How the data is stored.
    pub layout: Layout,
    /// Length of an integer in bytes, without the sign byte.
    pub int_size: u8,
    /// How the data is compressed.
    pub compression: Compression,
    /// The source database's name.
    pub database: String,
    /// Version of the source server (`15.18 (Debian …)`).
    pub server_version: String,
    /// Version of `pg_dump`.
    pub dump_version: String,
}

/// Location of an entry's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataLocation {
    /// No data.
    None,
    /// At an unknown offset: the dump was written to a pipe.
    Somewhere,
    /// At this byte offset in a custom archive.
    At(u64),
    /// In this file of a tar or directory archive.
    File(String),
}

/// One entry of the table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Dump ID, the number used by `pg_restore -L`.
    pub id: i32,
    /// Kind in the words of pg_dump (`TABLE DATA`).
    pub kind: String,
    /// Schema; empty for objects outside schemas.
    pub schema: String,
    /// Name; for parts of a table, prefixed with the table's name.
    pub tag: String,
    /// The SQL that creates it; empty for data.
    pub definition: String,
    /// The owner; empty for objects without one.
    pub owner: String,
    /// The `COPY` statement of its rows; empty if they are `INSERT` statements.
    pub copy: String,
    /// Location of its data.
    pub data: DataLocation,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The magic bytes are missing.
    #[error("the file is not a pg_dump archive")]
    NotAnArchive,
    /// The archive version is too old or too new for this reader.
    #[error("archive version {0}.{1} is not supported (1.10 to 1.16)")]
    Version(u8, u8),
    /// The file ends inside the header or table of contents.
    #[error("the table of contents is truncated")]
    CutOff,
    /// A value is invalid.
    #[error("the table of contents is damaged: {0}")]
    Damaged(&'static str),
    /// Reading failed.
    #[error("read error: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::CutOff } else { Self::Io(error) }
    }
}

/// The first bytes of every archive.
pub const MAGIC: &[u8; 5] = b"PGDMP";

/// Longest accepted string in bytes: a damaged length must not exhaust memory.
const MAX_STRING: u64 = 64 << 20;

/// Longest accepted name in bytes. A name has at most 63, but some tags join several.
const MAX_NAME: u64 = 4096;

/// A streaming reader of an archive, from its start.
pub struct Archive<R> {
    reader: R,
    int_size: usize,
    offset_size: usize,
    header: Header,
    /// The encoding of all strings, from the entry `ENCODING` at the start.
    encoding: TextEncoding,
    /// The first text that is not in this encoding.
    invalid_text: Option<Vec<u8>>,
    left: i64,
}

impl<R: BufRead> Archive<R> {
    /// Reads the header.
    pub fn open(mut reader: R) -> Result<Self, ArchiveError> {
        let mut magic = [0; 5];
        reader.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(ArchiveError::NotAnArchive);
        }
        let [major, minor, _revision, int_size, offset_size, layout] = {
            let mut bytes = [0; 6];
            reader.read_exact(&mut bytes)?;
            bytes
        };
        if major != 1 || !(10..=16).contains(&minor) {
            return Err(ArchiveError::Version(major, minor));
        }
        if !(1..=8).contains(&int_size) || !(1..=8).contains(&offset_size) {
            return Err(ArchiveError::Damaged("invalid integer size"));
        }
        let layout = match layout {
            1 => Layout::Custom,
            3 => Layout::Tar,
            5 => Layout::Directory,
            _ => return Err(ArchiveError::Damaged("unknown format")),
        };
        let header = Header {
            version: (major, minor),
            layout,
            int_size,
            compression: Compression::None,
            database: String::new(),
            server_version: String::new(),
            dump_version: String::new(),
        };
        let mut archive = Self {
            reader,
            int_size: int_size.into(),
            offset_size: offset_size.into(),
            header,
            encoding: TextEncoding::default(),
            invalid_text: None,
            left: 0,
        };
        archive.read_rest_of_header()?;
        Ok(archive)
    }

    /// Sets the encoding of all strings, whatever the archive declares.
    #[must_use]
    pub fn with_encoding(self, encoding: Option<&SourceEncoding>) -> Self {
        Self { encoding: TextEncoding::new(encoding), ..self }
    }

    fn read_rest_of_header(&mut self) -> Result<(), ArchiveError> {
        self.header.compression = if self.header.version.1 >= 15 {
            match self.byte()? {
                0 => Compression::None,
                1 => Compression::Gzip,
                2 => Compression::Lz4,
                3 => Compression::Zstd,
                _ => return Err(ArchiveError::Damaged("unknown compression method")),
            }
        } else if self.int()? == 0 {
            Compression::None // a gzip level; zero is uncompressed
        } else {
            Compression::Gzip
        };
        for _ in 0..7 {
            self.int()?; // second, minute, hour, day, month, year, daylight saving
        }
        self.header.database = self.name()?;
        self.header.server_version = self.name()?;
        self.header.dump_version = self.name()?;
        self.left = self.int()?;
        if self.left < 0 {
            return Err(ArchiveError::Damaged("negative number of entries"));
        }
        Ok(())
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of the first text since the last call that is not in the encoding of the archive.
    pub fn take_invalid_text(&mut self) -> Option<Vec<u8>> {
        self.invalid_text.take()
    }

    /// Reads the next entry; `None` after the last.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let minor = self.header.version.1;
        let id = i32::try_from(self.int()?).map_err(|_| ArchiveError::Damaged("invalid entry number"))?;
        let has_data = self.int()? != 0;
        self.skip_string()?; // OID of the catalog table
        self.skip_string()?; // OID of the object
        let tag = self.name()?;
        let kind = self.name()?;
        if minor >= 11 {
            self.int()?; // section
        }
        let definition = self.string()?;
        self.skip_string()?; // drop statement
        let copy = self.string()?;
        let schema = self.name()?;
        self.skip_string()?; // tablespace
        if minor >= 14 {
            self.skip_string()?; // table access method
        }
        if minor >= 16 {
            self.int()?; // relation kind
        }
        let owner = self.name()?;
        self.skip_string()?; // whether the table has OIDs
        while self.skip_string()? {} // dependencies, terminated by a null
        let data = self.data_location(has_data)?;
        if kind == "ENCODING"
            && let Some(name) = client_encoding(definition.as_bytes())
        {
            self.encoding.declare(&name);
        }
        Ok(Some(Entry { id, kind, schema, tag, definition, owner, copy, data }))
    }

    fn data_location(&mut self, has_data: bool) -> Result<DataLocation, ArchiveError> {
        if self.header.layout != Layout::Custom {
            let file = self.name()?;
            return Ok(if file.is_empty() { DataLocation::None } else { DataLocation::File(file) });
        }
        let state = self.byte()?;
        let mut offset = 0_u64;
        for place in 0..self.offset_size {
            offset |= u64::from(self.byte()?) << (8 * place);
        }
        match state {
            2 => Ok(DataLocation::At(offset)),
            1 if has_data => Ok(DataLocation::Somewhere),
            1 | 3 => Ok(DataLocation::None),
            _ => Err(ArchiveError::Damaged("unknown data state")),
        }
    }

    fn byte(&mut self) -> Result<u8, ArchiveError> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Reads a sign byte, then the magnitude in little-endian order.
    fn int(&mut self) -> Result<i64, ArchiveError> {
        let mut bytes = [0; 9];
        let bytes = &mut bytes[..=self.int_size];
        self.reader.read_exact(bytes)?;
        let (sign, amount) = (bytes[0], &bytes[1..]);
        let amount = amount.iter().rev().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        let amount = i64::try_from(amount).map_err(|_| ArchiveError::Damaged("integer out of range"))?;
        Ok(if sign == 0 { amount } else { -amount })
    }

    /// Reads the length of a string in bytes; `None` for a null.
    fn length(&mut self) -> Result<Option<u64>, ArchiveError> {
        let Ok(length) = u64::try_from(self.int()?) else { return Ok(None) };
        if length > MAX_STRING {
            return Err(ArchiveError::Damaged("string too long"));
        }
        Ok(Some(length))
    }

    /// Reads a string of at most [`MAX_NAME`] bytes.
    fn name(&mut self) -> Result<String, ArchiveError> {
        let text = self.string()?;
        if text.len() as u64 > MAX_NAME {
            return Err(ArchiveError::Damaged("name too long"));
        }
        Ok(text)
    }

    /// Reads a string; a null is returned as an empty string.
    fn string(&mut self) -> Result<String, ArchiveError> {
        let Some(length) = self.length()? else { return Ok(String::new()) };
        let mut bytes = Vec::new(); // grows with the bytes read, not with the stated length
        self.each(length, |block| bytes.extend_from_slice(block))?;
        let encoding = self.encoding.current;
        if encoding.must_be_utf8()
            && self.invalid_text.is_none()
            && let Some((at, length)) = encoding.first_invalid(&bytes)
        {
            self.invalid_text = Some(bytes[at..at + length.max(1)].to_vec());
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) if encoding.must_be_utf8() || text.is_ascii() => text,
            Ok(text) => encoding.decode(text.as_bytes()).into_owned(),
            Err(error) => encoding.decode(error.as_bytes()).into_owned(),
        })
    }

    /// Skips a string; false for a null.
    fn skip_string(&mut self) -> Result<bool, ArchiveError> {
        let Some(length) = self.length()? else { return Ok(false) };
        self.each(length, |_| {})?;
        Ok(true)
    }

    /// Passes the next `left` bytes to `take`, block by block.
    fn each(&mut self, mut left: u64, mut take: impl FnMut(&[u8])) -> Result<(), ArchiveError> {
        while left > 0 {
            let block = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if block.is_empty() {
                return Err(ArchiveError::CutOff);
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            take(&block[..length]);
            self.reader.consume(length);
            left -= length as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
