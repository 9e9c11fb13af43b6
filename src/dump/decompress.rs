//! Decompresses files that are compressed as a whole.

use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

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
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
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
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}
