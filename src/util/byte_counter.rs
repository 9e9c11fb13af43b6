//! A shared byte counter.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes processed so far, shared between the work and its progress display.
pub type ByteCounter = Arc<AtomicU64>;
