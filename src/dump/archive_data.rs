//! The data blocks of a custom archive: where they end, and the encoding of their rows. The latter is
//! read only for dumps of `SQL_ASCII` databases, whose text no server has ever checked.

use super::archive::{Compression, MAGIC};
use super::encoding::Encoding;
use std::io::{self, BufRead, Read};

/// Kind of a data block (`pg_backup_custom.c`).
const ROWS: u8 = 1;
const LARGE_OBJECTS: u8 = 3;

/// A block of data in an archive: the bytes of consecutive chunks, each with its length before it.
struct Chunks<'a, R> {
    reader: &'a mut R,
    int_size: usize,
    /// Bytes left of the present chunk; `None` after the last.
    left: Option<u64>,
}

impl<R: Read> Chunks<'_, R> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let length = int(self.reader, self.int_size)?;
        self.left = u64::try_from(length).ok().filter(|length| *length > 0);
        Ok(())
    }
}

impl<R: Read> Read for Chunks<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == Some(0) {
            self.next_chunk()?;
        }
        let Some(left) = self.left else { return Ok(0) };
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.reader.read(&mut buffer[..wanted])?;
        if length == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = Some(left - length as u64);
        Ok(length)
    }
}

/// Reads a sign byte, then the magnitude in little-endian order.
fn int(reader: &mut impl Read, size: usize) -> io::Result<i64> {
    let mut bytes = [0; 9];
    reader.read_exact(&mut bytes[..=size])?;
    let amount = bytes[1..=size].iter().rev().fold(0_i64, |value, byte| (value << 8) | i64::from(*byte));
    Ok(if bytes[0] == 0 { amount } else { -amount })
}

/// What follows the data blocks of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterBlocks {
    /// The end of the file, or bytes that no program reads: with `>>`, pg_dump writes its table of contents
    /// twice.
    End,
    /// Another archive.
    Archive,
    /// Zeros, as in a file that was reserved and not filled.
    Zeros,
    /// The last block is cut off.
    Truncated,
}

/// Reads data blocks, from the start of one to the last. `skip` advances a reader by a number of bytes.
pub(super) fn after_blocks<R: Read>(
    reader: &mut R,
    int_size: usize,
    mut skip: impl FnMut(&mut R, u64) -> io::Result<()>,
) -> io::Result<AfterBlocks> {
    match read_blocks(reader, int_size, &mut skip) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(AfterBlocks::Truncated),
        result => result,
    }
}

fn read_blocks<R: Read>(
    reader: &mut R,
    int_size: usize,
    skip: &mut impl FnMut(&mut R, u64) -> io::Result<()>,
) -> io::Result<AfterBlocks> {
    let mut chunks = |reader: &mut R| {
        while let Some(length) = u64::try_from(int(reader, int_size)?).ok().filter(|length| *length > 0) {
            skip(reader, length)?;
        }
        Ok::<_, io::Error>(())
    };
    loop {
        let mut kind = [0];
        if reader.read(&mut kind)? == 0 {
            return Ok(AfterBlocks::End);
        }
        match kind[0] {
            ROWS => {
                int(reader, int_size)?; // entry
                chunks(reader)?;
            }
            LARGE_OBJECTS => {
                int(reader, int_size)?;
                while int(reader, int_size)? != 0 {
                    chunks(reader)?;
                }
            }
            first => {
                let mut start = vec![first];
                reader.take(63).read_to_end(&mut start)?;
                let is_zero = start.iter().all(|byte| *byte == 0);
                return Ok(if start.starts_with(MAGIC) {
                    AfterBlocks::Archive
                } else if is_zero {
                    AfterBlocks::Zeros
                } else {
                    AfterBlocks::End
                });
            }
        }
    }
}

/// The first row that is not UTF-8: the entry's number and the invalid bytes. The reader must be at the
/// first data block. `None` if all text is valid or the compression is not supported here.
pub(super) fn first_invalid_row(
    reader: &mut impl BufRead,
    int_size: usize,
    compression: Compression,
) -> io::Result<Option<(i32, Vec<u8>)>> {
    loop {
        let mut kind = [0];
        if reader.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let entry = i32::try_from(int(reader, int_size)?).unwrap_or_default();
        match kind[0] {
            ROWS => {
                let mut chunks = Chunks { reader, int_size, left: Some(0) };
                let found = match compression {
                    Compression::None => invalid_bytes(&mut chunks)?,
                    Compression::Gzip => invalid_bytes(&mut flate2::read::ZlibDecoder::new(&mut chunks))?,
                    Compression::Zstd => invalid_bytes(&mut zstd::Decoder::new(&mut chunks)?)?,
                    Compression::Lz4 => None,
                };
                if let Some(bytes) = found {
                    return Ok(Some((entry, bytes)));
                }
                io::copy(&mut chunks, &mut io::sink())?;
            }
            // Large objects are not text.
            LARGE_OBJECTS => {
                while int(reader, int_size)? != 0 {
                    io::copy(&mut Chunks { reader, int_size, left: Some(0) }, &mut io::sink())?;
                }
            }
            _ => return Ok(None),
        }
    }
}

/// The first bytes of a stream that are not UTF-8.
fn invalid_bytes(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut block) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let length = match reader.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if length == 0 {
            return Ok((!text.is_empty()).then_some(text));
        }
        text.extend_from_slice(&block[..length]);
        if let Some((at, length)) = Encoding::Utf8.first_invalid(&text) {
            return Ok(Some(text[at..at + length].to_vec()));
        }
        let kept = text.len() - super::encoding::unfinished_character(&text);
        text.drain(..kept);
    }
}
