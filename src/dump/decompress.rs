//! Decompresses files that are compressed as a whole.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// Largest accepted zstd window, as a power of two. Bounds memory; `zstd --long` and `--ultra` write
/// larger ones.
const MAX_ZSTD_WINDOW: u32 = 23;

/// Compression of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OuterCompression {
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl OuterCompression {
    /// Detects the compression by the first bytes of a file.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // pzstd begins with a frame to skip.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in messages and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Returns a decompressing reader. Damaged or truncated input is a read error.
    pub fn decompress(self, packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(Gzip { decoder: Some(GzDecoder::new(BufReader::with_capacity(128 << 10, packed))) }),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// A gzip file of one or more members, as gunzip reads it: zero bytes at the end are padding.
struct Gzip<R> {
    /// The decoder of the present member; `None` at the end.
    decoder: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let length = decoder.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            self.decoder = self.decoder.take().map(GzDecoder::into_inner).map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

fn next_member<R: Read>(mut input: BufReader<R>) -> io::Result<Option<GzDecoder<BufReader<R>>>> {
    loop {
        let block = input.fill_buf()?;
        if block.is_empty() {
            return Ok(None);
        }
        let zeros = block.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(Some(GzDecoder::new(input)));
        }
        input.consume(zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::{Cursor, Write};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decompressed(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        OuterCompression::Gzip.decompress(Cursor::new(bytes))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_are_joined_and_padding_is_ignored() {
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decompressed(members.clone()).expect("two members"), b"one two");
        assert_eq!(decompressed([members.clone(), vec![0; 300_000]].concat()).expect("padding"), b"one two");
        assert!(decompressed([members.clone(), b"garbage".to_vec()].concat()).is_err());
        assert!(decompressed(members[..members.len() - 5].to_vec()).is_err());
    }
}
