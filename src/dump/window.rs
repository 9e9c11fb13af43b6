//! A moving window over a stream. A thread reads ahead into pooled blocks, so that reading
//! and understanding overlap, and no byte is copied except what a block ends in the middle of.

use super::lexer::inserts;
use std::cell::Cell;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    run: Option<Run>,
}

/// A run of plain `INSERT`s in a block, if a statement begins where it does. The thread that
/// reads looks for it while the other has enough to do; whoever comes to its start takes it.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    length: usize,
    count: u64,
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
    run: Option<Run>,
    /// Blocks that wait to be understood.
    waiting: Arc<AtomicUsize>,
    /// Up to where lines were counted, and how many.
    counted: Cell<(usize, u64)>,
}

/// A place in the window, of which the line can be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position<'a> {
    before: &'a [u8],
    counted: &'a Cell<(usize, u64)>,
}

impl Position<'_> {
    /// How many lines end before it. Counting goes on from where it was asked last.
    pub(super) fn lines(self) -> u64 {
        let (from, lines) = self.counted.get();
        let lines = lines + line_ends(&self.before[from..]);
        self.counted.set((self.before.len(), lines));
        lines
    }
}

impl Window {
    pub(super) fn new(reader: impl Read + Send + 'static) -> Self {
        let (full, blocks) = sync_channel(AHEAD);
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
            run: None,
            waiting,
            counted: Cell::new((0, 0)),
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

    /// Length and number of the plain `INSERT`s that the window begins with.
    pub(super) fn inserts(&self) -> (usize, u64) {
        let Some(run) = self.run.filter(|run| run.start >= self.start) else { return inserts(self.bytes()) };
        if run.start == self.start {
            return (run.length, run.count);
        }
        // Up to the run that is known, if it begins where a statement does.
        match inserts(&self.bytes[self.start..run.start]) {
            (length, count) if self.start + length == run.start => (length, count),
            _ => inserts(self.bytes()),
        }
    }

    /// Takes bytes; gives them and where they stand.
    pub(super) fn take(&mut self, length: usize) -> (&[u8], Position<'_>) {
        let from = self.start;
        self.start += length;
        (&self.bytes[from..self.start], Position { before: &self.bytes[..from], counted: &self.counted })
    }

    /// How many lines end in what was taken.
    pub(super) fn lines(&self) -> u64 {
        Position { before: &self.bytes[..self.start], counted: &self.counted }.lines()
    }

    /// Reads another block, or learns that there is none.
    pub(super) fn more(&mut self) -> io::Result<()> {
        let Ok(block) = self.blocks.recv() else {
            self.ended = true; // the end was told before
            return Ok(());
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Block { bytes, length, has_zero, run } = block?;
        if length == 0 {
            self.ended = true;
            return Ok(());
        }
        let lines = self.lines();
        let left = self.end - self.start;
        self.has_zero = has_zero || (left > 0 && self.has_zero);
        if left <= HEADROOM {
            let mut next = bytes;
            next[HEADROOM - left..HEADROOM].copy_from_slice(&self.bytes[self.start..self.end]);
            let old = std::mem::replace(&mut self.bytes, next);
            let _ = self.spare.send(old); // the reader has ended when it takes none back
            self.run = run;
            (self.start, self.end) = (HEADROOM - left, HEADROOM + length);
        } else {
            self.bytes.truncate(self.end);
            self.bytes.drain(..self.start);
            self.bytes.extend_from_slice(&bytes[HEADROOM..HEADROOM + length]);
            self.run = None; // it is told by its place in the block
            (self.start, self.end) = (0, self.bytes.len());
            let _ = self.spare.send(bytes);
        }
        self.counted.set((self.start, lines));
        Ok(())
    }
}

/// How many lines end in some bytes.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads until the end, an error, or nobody listens.
fn read_ahead(
    mut reader: impl Read,
    full: &SyncSender<io::Result<Block>>,
    empty: &Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) {
    loop {
        let mut bytes = empty.try_recv().unwrap_or_default();
        bytes.resize(HEADROOM + BLOCK, 0);
        let block = read_block(&mut reader, &mut bytes[HEADROOM..]).map(|length| {
            let has_zero = memchr::memchr(0, &bytes[HEADROOM..HEADROOM + length]).is_some();
            let busy = waiting.load(Ordering::Relaxed) > 1;
            let run = if busy { find_run(&bytes[..HEADROOM + length]) } else { None };
            Block { bytes, length, has_zero, run }
        });
        waiting.fetch_add(1, Ordering::Relaxed);
        let over = block.as_ref().map_or(true, |block| block.length == 0);
        if full.send(block).is_err() || over {
            return;
        }
    }
}

/// The plain `INSERT`s from the second one of a block on.
fn find_run(bytes: &[u8]) -> Option<Run> {
    const BETWEEN: &[u8] = b");\nINSERT INTO ";
    let start = HEADROOM + memchr::memmem::find(&bytes[HEADROOM..], BETWEEN)? + b");\n".len();
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
