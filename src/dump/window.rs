//! A moving window over a stream. A thread reads ahead into pooled blocks, so that reading and
//! parsing overlap. Only bytes left over at the end of a block are copied.

use super::encoding::Utf8Check;
use super::lexer::inserts;
use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Size of a block in bytes. All blocks together fit into the second-level cache of a processor; with
/// larger ones, copying from the kernel takes three times as long.
pub(super) const BLOCK: usize = 64 << 10;

/// Bytes reserved before a block for the bytes left over from the previous one.
const HEADROOM: usize = 16 << 10;

/// Blocks to read ahead.
const READ_AHEAD: usize = 3;

/// A block of the stream.
struct Block {
    /// [`HEADROOM`] bytes, then the bytes read.
    bytes: Vec<u8>,
    /// Number of bytes read; zero at the end of the stream.
    length: usize,
    has_zero: bool,
    is_utf8: bool,
    run: Option<Run>,
}

/// A run of plain `INSERT`s in a block, valid if a statement begins at its start. The reading thread
/// searches for it while the parser is busy; the parser uses it when it reaches the start.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    length: usize,
    count: u64,
}

/// A window over a stream. Memory is a few blocks and the bytes not yet taken.
pub(super) struct Window {
    blocks: Receiver<io::Result<Block>>,
    spare: Sender<Vec<u8>>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    has_zero: bool,
    is_utf8: bool,
    run: Option<Run>,
    /// Number of blocks not yet parsed.
    waiting: Arc<AtomicUsize>,
    /// Position up to which lines were counted, and their number.
    counted: Cell<(usize, u64)>,
}

/// The place of taken bytes in the window, whose lines can be counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position<'a> {
    /// The window up to the end of the bytes.
    whole: &'a [u8],
    /// The start of the bytes in it.
    start: usize,
    counted: &'a Cell<(usize, u64)>,
}

impl Position<'_> {
    /// Number of lines that end before the bytes. Counting continues from the previous call.
    pub(super) fn lines_before(self) -> u64 {
        let (from, lines) = self.counted.get();
        if from > self.start {
            return lines - line_ends(&self.whole[self.start..from]);
        }
        let lines = lines + line_ends(&self.whole[from..self.start]);
        self.counted.set((self.start, lines));
        lines
    }

    /// Number of lines that end in the bytes. They are not counted again for what follows.
    pub(super) fn lines_inside(self) -> u64 {
        let before = self.lines_before();
        let inside = line_ends(&self.whole[self.start..]);
        self.counted.set((self.whole.len(), before + inside));
        inside
    }
}

impl Window {
    pub(super) fn new(reader: impl Read + Send + 'static) -> Self {
        let (full, blocks) = sync_channel(READ_AHEAD);
        let (spare, empty) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let shared = waiting.clone();
        std::thread::spawn(move || read_ahead(reader, &full, &empty, &shared));
        Self {
            blocks,
            spare,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            ended: false,
            has_zero: false,
            is_utf8: true,
            run: None,
            waiting,
            counted: Cell::new((0, 0)),
        }
    }

    /// The bytes not yet taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether these are the last bytes of the stream.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the window may contain a zero byte.
    pub(super) fn has_zero(&self) -> bool {
        self.has_zero
    }

    /// Whether the window is known to be valid UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// Length in bytes and number of the plain `INSERT`s at the start of the window.
    pub(super) fn inserts(&self) -> (usize, u64) {
        let Some(run) = self.run.filter(|run| run.start >= self.start) else { return inserts(self.bytes()) };
        if run.start == self.start {
            return (run.length, run.count);
        }
        // Up to the known run, if a statement begins there.
        match inserts(&self.bytes[self.start..run.start]) {
            (length, count) if self.start + length == run.start => (length, count),
            _ => inserts(self.bytes()),
        }
    }

    /// Takes bytes; returns them and their position.
    pub(super) fn take(&mut self, length: usize) -> (&[u8], Position<'_>) {
        let from = self.start;
        self.start += length;
        let whole = &self.bytes[..self.start];
        (&whole[from..], Position { whole, start: from, counted: &self.counted })
    }

    /// Number of lines that end in the bytes taken.
    pub(super) fn lines(&self) -> u64 {
        Position { whole: &self.bytes[..self.start], start: self.start, counted: &self.counted }.lines_before()
    }

    /// Appends the next block, or sets the end of the stream.
    pub(super) fn more(&mut self) -> io::Result<()> {
        let Ok(block) = self.blocks.recv() else {
            self.ended = true; // the end or an error was received before
            return Ok(());
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Block { bytes, length, has_zero, is_utf8, run } = block?;
        if length == 0 {
            self.ended = true;
            return Ok(());
        }
        let lines = self.lines();
        let left = self.end - self.start;
        self.has_zero = has_zero || (left > 0 && self.has_zero);
        self.is_utf8 = is_utf8 && (left == 0 || self.is_utf8);
        if left <= HEADROOM {
            let mut next = bytes;
            next[HEADROOM - left..HEADROOM].copy_from_slice(&self.bytes[self.start..self.end]);
            let old = std::mem::replace(&mut self.bytes, next);
            let _ = self.spare.send(old); // fails only if the reading thread has ended
            self.run = run;
            (self.start, self.end) = (HEADROOM - left, HEADROOM + length);
        } else {
            self.bytes.truncate(self.end);
            self.bytes.drain(..self.start);
            self.bytes.extend_from_slice(&bytes[HEADROOM..HEADROOM + length]);
            self.run = None; // its position refers to the block
            (self.start, self.end) = (0, self.bytes.len());
            let _ = self.spare.send(bytes);
        }
        self.counted.set((self.start, lines));
        Ok(())
    }
}

/// Number of line ends in some bytes.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads until the end, an error, or the window is dropped.
fn read_ahead(
    mut reader: impl Read,
    full: &SyncSender<io::Result<Block>>,
    empty: &Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) {
    let mut utf8 = Utf8Check::default();
    loop {
        let mut bytes = empty.try_recv().unwrap_or_default();
        bytes.resize(HEADROOM + BLOCK, 0);
        let block = read_block(&mut reader, &mut bytes[HEADROOM..]).map(|length| {
            let has_zero = memchr::memchr(0, &bytes[HEADROOM..HEADROOM + length]).is_some();
            let busy = waiting.load(Ordering::Relaxed) > 1;
            let run = if busy { find_run(&bytes[..HEADROOM + length]) } else { None };
            let is_utf8 = utf8.is_valid(&bytes[HEADROOM..HEADROOM + length]);
            Block { bytes, length, has_zero, is_utf8, run }
        });
        waiting.fetch_add(1, Ordering::Relaxed);
        let over = block.as_ref().map_or(true, |block| block.length == 0);
        if full.send(block).is_err() || over {
            return;
        }
    }
}

/// Finds the plain `INSERT`s of a block, from the second one.
fn find_run(bytes: &[u8]) -> Option<Run> {
    const SEPARATOR: &[u8] = b");\nINSERT INTO ";
    let start = HEADROOM + memchr::memmem::find(&bytes[HEADROOM..], SEPARATOR)? + b");\n".len();
    let (length, count) = inserts(&bytes[start..]);
    (count > 0).then_some(Run { start, length, count })
}

fn read_block(reader: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
