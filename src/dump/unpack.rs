//! Files that were compressed as a whole, unpacked on the fly.

use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// A larger zstd window would take more memory than a dump is worth; `zstd --long` and
/// `--ultra` write such. In powers of two.
const LARGEST_ZSTD_WINDOW: u32 = 23;

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OuterCompression {
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl OuterCompression {
    /// By the first bytes of a file.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// A reader of what is inside. Damage and an early end are errors of reading.
    pub fn unpack(self, packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(LARGEST_ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}
