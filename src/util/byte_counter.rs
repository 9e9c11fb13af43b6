//! A byte count that one task updates and another shows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes done so far, shared between the work and its progress display.
pub type ByteCounter = Arc<AtomicU64>;
