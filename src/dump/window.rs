//! A moving window over a stream. A thread reads ahead into pooled blocks, so that reading
//! and understanding overlap, and no byte is copied except what a block ends in the middle of.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes that are read at a time.
pub(super) const BLOCK: usize = 256 << 10;

/// Room before a block's bytes for what the block before it ended in the middle of.
const HEADROOM: usize = 64 << 10;

/// Blocks that wait to be understood.
const AHEAD: usize = 3;

/// A block that was read.
struct Block {
    /// [`HEADROOM`], then what was read.
    bytes: Vec<u8>,
    /// Bytes that were read; none at the end of the stream.
    length: usize,
    has_zero: bool,
}

/// The window. Memory is a few blocks, and what the caller leaves in it.
pub(super) struct Window {
    blocks: Receiver<io::Result<Block>>,
    spare: Sender<Vec<u8>>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    has_zero: bool,
    /// Where lines are counted from, and how many there are up to there.
    counted_from: usize,
    lines_before: u64,
}

impl Window {
    pub(super) fn new(reader: impl Read + Send + 'static) -> Self {
        let (full, blocks) = sync_channel(AHEAD);
        let (spare, empty) = channel();
        std::thread::spawn(move || read_ahead(reader, &full, &empty));
        Self {
            blocks,
            spare,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            ended: false,
            has_zero: false,
            counted_from: 0,
            lines_before: 0,
        }
    }

    /// The bytes that are not taken yet.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether these are the last bytes of the stream.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a zero byte may be among them.
    pub(super) fn has_zero(&self) -> bool {
        self.has_zero
    }

    /// Takes bytes; gives them, what stands before them, and how many lines end before that.
    pub(super) fn take(&mut self, length: usize) -> (&[u8], &[u8], u64) {
        let from = self.start;
        self.start += length;
        (&self.bytes[from..self.start], &self.bytes[self.counted_from..from], self.lines_before)
    }

    /// How many lines end in what was taken.
    pub(super) fn lines(&self) -> u64 {
        self.lines_before + line_ends(&self.bytes[self.counted_from..self.start])
    }

    /// Reads another block, or learns that there is none.
    pub(super) fn more(&mut self) -> io::Result<()> {
        let Ok(block) = self.blocks.recv() else {
            self.ended = true; // the end was told before
            return Ok(());
        };
        let Block { bytes, length, has_zero } = block?;
        if length == 0 {
            self.ended = true;
            return Ok(());
        }
        self.lines_before = self.lines();
        let left = self.end - self.start;
        self.has_zero = has_zero || (left > 0 && self.has_zero);
        if left <= HEADROOM {
            let mut next = bytes;
            next[HEADROOM - left..HEADROOM].copy_from_slice(&self.bytes[self.start..self.end]);
            let old = std::mem::replace(&mut self.bytes, next);
            let _ = self.spare.send(old); // the reader has ended when it takes none back
            (self.start, self.end) = (HEADROOM - left, HEADROOM + length);
        } else {
            self.bytes.truncate(self.end);
            self.bytes.drain(..self.start);
            self.bytes.extend_from_slice(&bytes[HEADROOM..HEADROOM + length]);
            (self.start, self.end) = (0, self.bytes.len());
            let _ = self.spare.send(bytes);
        }
        self.counted_from = self.start;
        Ok(())
    }
}

/// How many lines end in some bytes.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads until the end, an error, or nobody listens.
fn read_ahead(mut reader: impl Read, full: &SyncSender<io::Result<Block>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut bytes = empty.try_recv().unwrap_or_default();
        bytes.resize(HEADROOM + BLOCK, 0);
        let block = read_block(&mut reader, &mut bytes[HEADROOM..]).map(|length| {
            let has_zero = memchr::memchr(0, &bytes[HEADROOM..HEADROOM + length]).is_some();
            Block { bytes, length, has_zero }
        });
        let over = block.as_ref().map_or(true, |block| block.length == 0);
        if full.send(block).is_err() || over {
            return;
        }
    }
}

fn read_block(reader: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
